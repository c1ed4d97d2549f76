"""OOM kills of a job."""

from __future__ import annotations

from nodeagent.collector import JobCollector, NoData, Pace, Values
from nodeagent.counters import counter_key
from nodeagent.job_dirs import JobDirs

__all__ = ["COLLECTOR", "parse_kills"]


def parse_kills(text: str) -> int:
    """Return the number on the `oom_kill` line of memory.oom_control or memory.events."""
    _, found, rest = text.rpartition("oom_kill ")
    if not found:
        raise NoData("kernels before 4.13 do not count OOM kills")
    return int(rest.split("\n", 1)[0])


def _read(job: JobDirs) -> Values:
    if job.has("memory"):
        counters = _read_v1(job)
    else:
        kills = parse_kills(job.follow("v2", "memory.events"))
        counters = {counter_key("v2", "oom_kills"): kills}
    if not counters:
        raise NoData("no memory controller")
    return Values(counters, {"_oom_killed": float(any(counters.values()))})


def _read_v1(job: JobDirs) -> dict[str, int]:
    # v1 counts a kill in the victim's own cgroup only, not above: add up the tree.
    counters = {}
    for path, inode in list(job.parts("memory", quick=True).items()):
        try:
            kills = parse_kills(job.follow("memory", "memory.oom_control", path))
        except NoData:
            continue
        counters[counter_key("memory", "oom_kills", f"{path}#{inode}")] = kills
    return counters


COLLECTOR = JobCollector(
    "job_oom", "OOM kills (memory.oom_control, memory.events)", Pace.SECOND, _read
)
