"""NVIDIA's devices through `nvidia-smi`, where its library cannot be used: fewer values, slower.

Of MIG instances it tells the names and their devices; what one uses it does not tell as CSV.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator

from nodeagent import clock
from nodeagent.gpu.child import Silent, output_of
from nodeagent.gpu.device import Device, Survey, bus_id, number

__all__ = ["NvidiaSmiSource", "parse_instances", "parse_query"]

_COMMAND = "nvidia-smi"
_MIB, _MHZ = 1024**2, 1e6
# Field → column and factor.
_GAUGES = {
    "utilization.gpu": ("utilization_ratio", 0.01),
    "utilization.memory": ("memory_utilization_ratio", 0.01),
    "utilization.encoder": ("encoder_ratio", 0.01),
    "utilization.decoder": ("decoder_ratio", 0.01),
    "memory.used": ("memory_used_bytes", _MIB),
    "memory.total": ("memory_total_bytes", _MIB),
    "power.draw": ("power_w", 1.0),
    "enforced.power.limit": ("power_limit_w", 1.0),
    "temperature.gpu": ("temperature_celsius", 1.0),
    "temperature.memory": ("memory_temperature_celsius", 1.0),
    "clocks.current.sm": ("sm_clock_hz", _MHZ),
    "clocks.current.memory": ("memory_clock_hz", _MHZ),
    "fan.speed": ("fan_ratio", 0.01),
}
_COUNTERS = {
    "ecc.errors.corrected.volatile.total": ("ecc_corrected_errors", 1),
    "ecc.errors.uncorrected.volatile.total": ("ecc_uncorrected_errors", 1),
    "clocks_event_reasons_counters.sw_power_cap": ("throttled_power_s|limit", 1000),
    "clocks_event_reasons_counters.hw_power_brake_slowdown": ("throttled_power_s|brake", 1000),
    "clocks_event_reasons_counters.sw_thermal_slowdown": ("throttled_thermal_s|software", 1000),
    "clocks_event_reasons_counters.hw_thermal_slowdown": ("throttled_thermal_s|hardware", 1000),
}
_IDENTITY = ("index", "uuid", "name", "pci.bus_id", "mig.mode.current")
_FIELDS = (*_IDENTITY, *_GAUGES, *_COUNTERS)
_UNKNOWN_FIELD = re.compile(r'Field "([^"]+)" is not a valid field')
_GPU_LINE = re.compile(r"GPU \d+: .*\(UUID: (GPU-[0-9A-Za-z-]+)\)")
_MIG_LINE = re.compile(r"\s+MIG (\S+)\s+Device\s+\d+: \(UUID: (MIG-[0-9A-Za-z/-]+)\)")

Run = Callable[[list[str]], tuple[int, str]]


def parse_query(text: str) -> Iterator[Device]:
    """Yield the devices of `--query-gpu=… --format=csv`, header first, units or not.

    A lost device has `[GPU is lost]` or `[N/A]` in place of values: those are absent.
    """
    rows = csv.reader(text.splitlines(), skipinitialspace=True)
    # `memory.used [MiB]`, `clocks.current.sm [MHz]`: the name alone.
    names = [name.partition(" [")[0] for name in next(rows, [])]
    for values in rows:
        if len(values) != len(names):
            continue
        row = dict(zip(names, values))
        uuid = row.get("uuid", "")
        if uuid.startswith("GPU-"):
            yield _device(uuid, row)


def _device(uuid: str, row: dict[str, str]) -> Device:
    gauges = {}
    for field, (column, factor) in _GAUGES.items():
        value = number(row.get(field))
        if value is not None and (value >= 0 or "temperature" in column):
            gauges[column] = min(1.0, value * factor) if factor == 0.01 else value * factor
    counters = {}
    for field, (column, scale) in _COUNTERS.items():
        value = number(row.get(field))
        if value is not None and value >= 0:
            counters[column] = int(value) * scale
    is_divided = row.get("mig.mode.current") == "Enabled"
    total = gauges.get("memory_total_bytes")
    if is_divided:
        # That of the instances, which is not told apart.
        for column in ("memory_used_bytes", "memory_total_bytes"):
            gauges.pop(column, None)
    index = number(row.get("index"))
    return Device(
        uuid=uuid,
        vendor="nvidia",
        model=row.get("name") or None,
        pci_bus_id=bus_id(row.get("pci.bus_id", "")),
        minor=None,
        ordinal=None if index is None else int(index),
        memory_total_bytes=total,
        is_divided=is_divided,
        counters=counters,
        gauges=gauges,
    )


def parse_instances(text: str, devices: list[Device]) -> Iterator[Device]:
    """Yield the MIG instances that `nvidia-smi -L` lists below these devices."""
    parents = {device.uuid: device for device in devices}
    parent = None
    for line in text.splitlines():
        gpu = _GPU_LINE.match(line)
        if gpu:
            parent = parents.get(gpu[1])
            continue
        mig = _MIG_LINE.match(line)
        if mig and parent is not None:
            yield parent._replace(
                uuid=mig[2],
                model=f"{parent.model} MIG {mig[1]}" if parent.model else f"MIG {mig[1]}",
                memory_total_bytes=None,
                parent_uuid=parent.uuid,
                is_divided=False,
                counters={},
                gauges={},
            )


class NvidiaSmiSource:
    """Runs the tool; OSError where there is none, Silent when it hangs."""

    name = _COMMAND

    def __init__(self, limit_s: float, run: Run | None = None) -> None:
        self._run = run or (lambda arguments: output_of(arguments, limit_s))
        self._fields = list(_FIELDS)

    def read(self) -> Survey:
        """Return all devices; OSError or Silent when the tool does not do its work."""
        at = clock.now()
        status, text = self._query()
        devices = list(parse_query(text))
        if status != 0 and not devices:
            raise Silent(f"it fails ({status}): {' '.join(text.split())[:200]}")
        problems = () if status == 0 else (f"{_COMMAND} ended with {status}",)
        if any(device.is_divided for device in devices):
            devices += parse_instances(self._run([_COMMAND, "-L"])[1], devices)
        return Survey(at.boot, at.wall, tuple(devices), (self.name,), problems)

    def _query(self) -> tuple[int, str]:
        while True:
            fields = ",".join(self._fields)
            status, text = self._run([_COMMAND, f"--query-gpu={fields}", "--format=csv"])
            unknown = _UNKNOWN_FIELD.search(text)
            # Older drivers know fewer fields, and then answer nothing at all.
            if unknown is None or unknown[1] not in self._fields or unknown[1] in _IDENTITY[:2]:
                return status, text
            self._fields.remove(unknown[1])
