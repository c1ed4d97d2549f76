"""AMD's devices through `amd-smi`: JSON, whose shape differs a little from release to release."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nodeagent import clock
from nodeagent.gpu.child import Silent, output_of
from nodeagent.gpu.device import Device, Survey, bus_id, number
from nodeagent.gpu.uuids import amd_uuid

__all__ = ["AmdSmiSource", "parse_metric", "parse_static"]

_COMMAND = "amd-smi"
_MIB, _MHZ = 1024**2, 1e6
# Where it stands in an entry of `metric`, and factor; of several the first that is there.
_GAUGES: dict[str, tuple[tuple[tuple[str, ...], ...], float]] = {
    "utilization_ratio": ((("usage", "gfx_activity"),), 0.01),
    "memory_utilization_ratio": ((("usage", "umc_activity"),), 0.01),
    "memory_used_bytes": ((("mem_usage", "used_vram"),), _MIB),
    "memory_total_bytes": ((("mem_usage", "total_vram"),), _MIB),
    "power_w": ((("power", "socket_power"), ("power", "current_socket_power")), 1.0),
    "temperature_celsius": ((("temperature", "edge"), ("temperature", "hotspot")), 1.0),
    "memory_temperature_celsius": ((("temperature", "mem"),), 1.0),
    "sm_clock_hz": ((("clock", "gfx_0", "clk"), ("clock", "GFX_0", "clk")), _MHZ),
    "memory_clock_hz": ((("clock", "mem_0", "clk"), ("clock", "MEM_0", "clk")), _MHZ),
    "fan_ratio": ((("fan", "usage"),), 0.01),
}
_COUNTERS: dict[str, tuple[tuple[str, ...], float]] = {
    "energy_j": (("energy", "total_energy_consumption"), 1000),
    "ecc_corrected_errors": (("ecc", "total_correctable_count"), 1),
    "ecc_uncorrected_errors": (("ecc", "total_uncorrectable_count"), 1),
}
_LIMITS = (
    ("limit", "socket_power"),
    ("limit", "ppt0", "socket_power_limit"),
    ("limit", "max_power"),
)

Run = Callable[[list[str]], tuple[int, str]]


def parse_static(text: str, listed: str = "[]") -> dict[int, Device]:
    """Return the tool's own number → device, from `static --json` and, where there is no serial
    number, `list --json`; ValueError when it is no JSON."""
    uuids = {entry.get("gpu"): entry.get("uuid") for entry in _entries(listed)}
    found = {}
    for entry in _entries(text):
        index = entry.get("gpu")
        if not isinstance(index, int):
            continue
        bus = bus_id(str(_at(entry, ("bus", "bdf"))))
        model = _at(entry, ("asic", "market_name"))
        size = number(_plain(_at(entry, ("vram", "size"))))
        limit = next((n for path in _LIMITS if (n := number(_plain(_at(entry, path))))), None)
        found[index] = Device(
            uuid=amd_uuid(_at(entry, ("asic", "asic_serial")), uuids.get(index), bus),
            vendor="amd",
            model=model if isinstance(model, str) and model != "N/A" else None,
            pci_bus_id=bus,
            minor=None,
            ordinal=index,
            memory_total_bytes=None if size is None else size * _MIB,
            gauges={} if limit is None else {"power_limit_w": limit},
        )
    # The partitions of one device bear its serial number.
    times = Counter(device.uuid for device in found.values())
    for index, device in found.items():
        if times[device.uuid] > 1:
            uuid = amd_uuid(None, uuids.get(index), device.pci_bus_id)
            found[index] = device._replace(uuid=uuid)
    return found


def parse_metric(text: str, devices: Mapping[int, Device]) -> Iterator[Device]:
    """Yield the devices with what `metric --json` tells of them, joined by the tool's own number;
    ValueError when it is no JSON."""
    for entry in _entries(text):
        device = devices.get(entry.get("gpu", -1))
        if device is None:
            continue
        gauges = dict(device.gauges)
        for column, (paths, factor) in _GAUGES.items():
            values = (number(_plain(_at(entry, path))) for path in paths)
            value = next((value for value in values if value is not None), None)
            if value is not None:
                gauges[column] = min(1.0, value * factor) if factor == 0.01 else value * factor
        counters = {}
        for column, (path, scale) in _COUNTERS.items():
            value = number(_plain(_at(entry, path)))
            # A device that counts no energy says 0 for ever.
            if value is not None and (value > 0 or column != "energy_j"):
                counters[column] = int(value * scale)
        yield device._replace(counters=counters, gauges=gauges)


def _entries(text: str) -> list[dict[str, Any]]:
    document = json.loads(text)
    if isinstance(document, dict):
        document = document.get("gpu_data")
    if not isinstance(document, list):
        raise ValueError("neither a list nor gpu_data")
    return [entry for entry in document if isinstance(entry, dict)]


def _at(entry: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if not isinstance(entry, dict):
            return None
        entry = entry.get(name)
    return entry


def _plain(value: Any) -> Any:
    """Take `{"value": 5, "unit": "W"}` as 5."""
    return value.get("value") if isinstance(value, dict) else value


class AmdSmiSource:
    """Runs the tool; OSError where there is none, Silent when it hangs or makes no sense."""

    name = _COMMAND

    def __init__(self, limit_s: float, run: Run | None = None) -> None:
        self._run = run or (lambda arguments: output_of(arguments, limit_s))
        self._devices: dict[int, Device] = {}

    def read(self) -> Survey:
        """Return all devices; OSError or Silent when the tool does not do its work."""
        if not self._devices:
            self._devices = parse_static(self._ask("static"), self._ask("list"))
        at = clock.now()
        try:
            devices = tuple(parse_metric(self._ask("metric"), self._devices))
        except Silent:
            self._devices = {}
            raise
        lost = len(self._devices) - len(devices)
        problems = (f"{lost} AMD GPUs do not answer",) if lost > 0 else ()
        return Survey(at.boot, at.wall, devices, (self.name,), problems)

    def _ask(self, subject: str) -> str:
        status, text = self._run([_COMMAND, subject, "--json"])
        try:
            _entries(text)
        except ValueError as wrong:
            shown = " ".join(text.split())[:200]
            raise Silent(f"{subject} ended with {status} and {wrong}: {shown}") from wrong
        return text
