"""How much memory a job uses and used at most: two numbers, cheap enough for every second."""

from __future__ import annotations

from nodeagent.collector import JobCollector, NoData, Pace, Values
from nodeagent.job_dirs import JobDirs

__all__ = ["COLLECTOR"]

_FILES = {
    "memory": {
        "memory_used_bytes": "memory.usage_in_bytes",
        "memory_peak_bytes": "memory.max_usage_in_bytes",
    },
    # memory.peak came with kernel 5.19.
    "v2": {"memory_used_bytes": "memory.current", "memory_peak_bytes": "memory.peak"},
}


def _read(job: JobDirs) -> Values:
    controller = "memory" if job.has("memory") else "v2"
    gauges: dict[str, float] = {}
    for column, name in _FILES[controller].items():
        try:
            gauges[column] = int(job.follow(controller, name))
        except NoData:
            continue
    if not gauges:
        raise NoData("no memory controller")
    return Values({}, gauges)


COLLECTOR = JobCollector(
    "job_memory_use",
    "memory in use and its peak (memory.usage_in_bytes, memory.current)",
    Pace.SECOND,
    _read,
)
