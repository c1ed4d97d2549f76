"""AMD's devices through `rocm-smi`, on systems without `amd-smi`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nodeagent import clock
from nodeagent.gpu.child import Silent, output_of
from nodeagent.gpu.device import Device, Survey, bus_id, number
from nodeagent.gpu.uuids import amd_uuid

__all__ = ["RocmSmiSource", "parse_devices"]

_COMMAND = "rocm-smi"
_QUESTIONS = (
    "--showproductname",
    "--showuniqueid",
    "--showbus",
    "--showuse",
    "--showmemuse",
    "--showpower",
    "--showmaxpower",
    "--showtemp",
    "--showclocks",
    "--showfan",
    "--showenergycounter",
)
_MHZ = 1e6
# The names that releases gave it, and factor; of several the first that is there.
_GAUGES: dict[str, tuple[tuple[str, ...], float]] = {
    "utilization_ratio": (("GPU use (%)",), 0.01),
    "memory_utilization_ratio": (("GPU Memory Read/Write Activity (%)",), 0.01),
    "memory_used_bytes": (("VRAM Total Used Memory (B)",), 1.0),
    "memory_total_bytes": (("VRAM Total Memory (B)",), 1.0),
    "power_w": (
        ("Average Graphics Package Power (W)", "Current Socket Graphics Package Power (W)"),
        1.0,
    ),
    "power_limit_w": (("Max Graphics Package Power (W)",), 1.0),
    "temperature_celsius": (
        ("Temperature (Sensor edge) (C)", "Temperature (Sensor junction) (C)"),
        1.0,
    ),
    "memory_temperature_celsius": (("Temperature (Sensor memory) (C)",), 1.0),
    "sm_clock_hz": (("sclk clock speed:",), _MHZ),
    "memory_clock_hz": (("mclk clock speed:",), _MHZ),
    "fan_ratio": (("Fan speed (%)",), 0.01),
}
_ENERGY_UJ = "Accumulated Energy (uJ)"
_MODELS = ("Card series", "Card Series", "Device Name")

Run = Callable[[list[str]], tuple[int, str]]


def parse_devices(text: str) -> Iterator[Device]:
    """Yield the devices of `rocm-smi … --json`; ValueError when it is no JSON."""
    # Warnings stand before the object.
    document = json.loads(text[max(0, text.find("{")) :])
    for name, card in document.items():
        if name.startswith("card") and isinstance(card, dict):
            yield _device(card)


def _device(card: Mapping[str, Any]) -> Device:
    gauges = {}
    for column, (names, factor) in _GAUGES.items():
        values = (_number(card.get(name)) for name in names)
        value = next((value for value in values if value is not None), None)
        if value is not None:
            gauges[column] = min(1.0, value * factor) if factor == 0.01 else value * factor
    energy_uj = _number(card.get(_ENERGY_UJ))
    bus = bus_id(str(card.get("PCI Bus", "")))
    models = (card.get(name) for name in _MODELS)
    return Device(
        uuid=amd_uuid(card.get("Unique ID"), None, bus),
        vendor="amd",
        model=next((model for model in models if model and model != "N/A"), None),
        pci_bus_id=bus,
        minor=None,
        # `cardN` is the tool's own count, not the driver's.
        ordinal=None,
        memory_total_bytes=gauges.get("memory_total_bytes"),
        counters={"energy_j": int(energy_uj / 1000)} if energy_uj else {},
        gauges=gauges,
    )


def _number(value: object) -> float | None:
    # Clocks stand as `(1200Mhz)`.
    if isinstance(value, str) and value.startswith("("):
        value = value.strip("()").lower().removesuffix("mhz")
    return number(value)


class RocmSmiSource:
    """Runs the tool; OSError where there is none, Silent when it hangs or makes no sense."""

    name = _COMMAND

    def __init__(self, limit_s: float, run: Run | None = None) -> None:
        self._run = run or (lambda arguments: output_of(arguments, limit_s))

    def read(self) -> Survey:
        """Return all devices; OSError or Silent when the tool does not do its work."""
        at = clock.now()
        status, text = self._run([_COMMAND, *_QUESTIONS, "--showmeminfo", "vram", "--json"])
        try:
            devices = tuple(parse_devices(text))
        except ValueError as wrong:
            shown = " ".join(text.split())[:200]
            raise Silent(f"it ended with {status}: {shown}") from wrong
        return Survey(at.boot, at.wall, devices, (self.name,))
