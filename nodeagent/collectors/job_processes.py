"""How many processes and threads a job has, and whether it has any."""

from __future__ import annotations

from contextlib import suppress

from nodeagent.collector import JobCollector, NoData, Pace, Values
from nodeagent.job_dirs import JobDirs
from nodeagent.kernel_text import parse_flat

__all__ = ["COLLECTOR"]

# Slurm's proctrack plugin uses freezer; the others hold the job's processes too where they are
# used.
_V1_ORDER = ("freezer", "cpuacct", "memory", "cpuset", "pids", "cpu", "blkio")


def _read(job: JobDirs) -> Values:
    controller = next((name for name in (*_V1_ORDER, "v2") if job.has(name)), None)
    if controller is None:
        raise NoData("no directory")
    processes = _count(job, controller, "cgroup.procs")
    gauges: dict[str, float] = {"processes": processes, "_populated": float(processes > 0)}
    if controller == "v2":
        events = parse_flat(job.follow("v2", "cgroup.events"))
        gauges["_populated"] = float(events.get("populated", 1))
    with suppress(NoData):
        gauges["threads"] = _threads(job, controller)
    return Values({}, gauges)


def _threads(job: JobDirs, controller: str) -> int:
    # pids.current counts tasks, that is threads.
    try:
        return int(job.read("pids" if job.has("pids") else "v2", "pids.current"))
    except NoData:
        return _count(job, controller, "cgroup.threads" if controller == "v2" else "tasks")


def _count(job: JobDirs, controller: str, name: str) -> int:
    # Such a file lists its own cgroup only: add up the tree.
    counts = []
    for part in list(job.parts(controller)):
        try:
            counts.append(job.read(controller, name, part).count("\n"))
        except NoData:
            continue
    if not counts:
        # Gone by now: that is not the same as having none.
        raise NoData(name)
    return sum(counts)


COLLECTOR = JobCollector(
    "job_processes", "processes and threads (cgroup.procs, pids.current)", Pace.ROUND, _read
)
