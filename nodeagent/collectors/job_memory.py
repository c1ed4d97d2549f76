"""Memory of a job by kind, its page faults and limit hits: what costs the kernel some work."""

from __future__ import annotations

from nodeagent.collector import JobCollector, NoData, Pace, Values
from nodeagent.counters import counter_key
from nodeagent.job_dirs import JobDirs
from nodeagent.kernel_text import parse_flat

__all__ = ["COLLECTOR", "parse_limit", "parse_stat_v1", "parse_stat_v2"]

# v1 writes "no limit" as the largest multiple of the page size (4 to 64 KiB) in 63 bits.
_NO_LIMIT_BYTES = 0x7FFF_FFFF_FFFF_0000

_GAUGES_V1 = {
    "total_rss": "memory_rss_bytes",
    "total_cache": "memory_cache_bytes",
    "total_shmem": "memory_shmem_bytes",
}
_GAUGES_V2 = {
    "anon": "memory_rss_bytes",
    "file": "memory_cache_bytes",
    "shmem": "memory_shmem_bytes",
}
_COUNTERS = {"pgfault": "page_faults", "pgmajfault": "major_page_faults"}


def parse_limit(text: str) -> int | None:
    """Return a limit in bytes, None when there is none (`max`, or v1's largest number)."""
    text = text.strip()
    if text == "max":
        return None
    limit = int(text)
    return limit if limit < _NO_LIMIT_BYTES else None


def parse_stat_v1(text: str) -> tuple[dict[str, int], dict[str, float]]:
    """Return (counters, gauges) by column of v1's memory.stat, the tree's totals."""
    values = parse_flat(text)
    counters = {
        column: values[f"total_{name}"]
        for name, column in _COUNTERS.items()
        if f"total_{name}" in values
    }
    return counters, _pick(values, _GAUGES_V1)


def parse_stat_v2(text: str) -> tuple[dict[str, int], dict[str, float]]:
    """Return (counters, gauges) by column of v2's memory.stat, which counts the tree."""
    values = parse_flat(text)
    counters = {column: values[name] for name, column in _COUNTERS.items() if name in values}
    return counters, _pick(values, _GAUGES_V2)


def _pick(values: dict[str, int], names: dict[str, str]) -> dict[str, float]:
    return {column: values[name] for name, column in names.items() if name in values}


def _read(job: JobDirs) -> Values:
    if job.has("memory"):
        counters, gauges = parse_stat_v1(job.read("memory", "memory.stat"))
        _limit(job, "memory", "memory.limit_in_bytes", gauges)
        _swap_v1(job, gauges)
        keyed = {counter_key("memory", name): value for name, value in counters.items()}
        keyed.update(_limit_hits_v1(job))
    elif job.has("v2"):
        counters, gauges = parse_stat_v2(job.read("v2", "memory.stat"))
        _limit(job, "v2", "memory.max", gauges)
        _swap_v2(job, gauges)
        counters.update(_limit_hits_v2(job))
        keyed = {counter_key("v2", name): value for name, value in counters.items()}
    else:
        raise NoData("no memory controller")
    return Values(keyed, gauges)


def _limit(job: JobDirs, controller: str, name: str, gauges: dict[str, float]) -> None:
    try:
        limit = parse_limit(job.read(controller, name))
    except NoData:
        return
    if limit is not None:
        gauges["memory_limit_bytes"] = limit


def _limit_hits_v1(job: JobDirs) -> dict[str, int]:
    # v1 counts a hit at the level whose limit it is: add up the tree.
    counters = {}
    for path, inode in list(job.parts("memory").items()):
        try:
            hits = int(job.follow("memory", "memory.failcnt", path))
        except NoData:
            continue
        counters[counter_key("memory", "memory_limit_hits", f"{path}#{inode}")] = hits
    return counters


def _limit_hits_v2(job: JobDirs) -> dict[str, int]:
    try:
        events = parse_flat(job.read("v2", "memory.events"))
    except NoData:
        return {}
    return {"memory_limit_hits": events["max"]} if "max" in events else {}


def _swap_v1(job: JobDirs, gauges: dict[str, float]) -> None:
    # memsw is memory and swap together, and not there when the kernel does not account for swap.
    try:
        both = int(job.read("memory", "memory.memsw.usage_in_bytes"))
        memory = int(job.read("memory", "memory.usage_in_bytes"))
    except NoData:
        return
    # Two readings: memory may have grown in between.
    gauges["memory_swap_bytes"] = max(0, both - memory)


def _swap_v2(job: JobDirs, gauges: dict[str, float]) -> None:
    try:
        gauges["memory_swap_bytes"] = int(job.read("v2", "memory.swap.current"))
    except NoData:
        return


COLLECTOR = JobCollector(
    "job_memory",
    "memory by kind, swap, limit and its hits, page faults (memory.stat)",
    Pace.OFTEN,
    _read,
)
