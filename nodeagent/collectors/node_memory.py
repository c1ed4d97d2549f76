"""Memory and swap of the node."""

from __future__ import annotations

from nodeagent.collector import NodeCollector, Values
from nodeagent.paths import Paths

__all__ = ["COLLECTOR", "parse_meminfo"]

_BYTES_PER_KIB = 1024
_COLUMNS = {
    "MemTotal": "memory_total_bytes",
    "MemAvailable": "memory_available_bytes",
    "MemFree": "memory_free_bytes",
    "Cached": "memory_cached_bytes",
    "Buffers": "memory_buffers_bytes",
    "SwapTotal": "swap_total_bytes",
    "SwapFree": "swap_free_bytes",
}


def parse_meminfo(text: str) -> dict[str, float]:
    """Return the columns of /proc/meminfo in bytes."""
    gauges: dict[str, float] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name in _COLUMNS:
            gauges[_COLUMNS[name]] = int(rest.split()[0]) * _BYTES_PER_KIB
    return gauges


def _read(paths: Paths) -> Values:
    return Values({}, parse_meminfo(paths.read_proc("meminfo")))


COLLECTOR = NodeCollector("node_memory", "memory and swap (/proc/meminfo)", _read)
