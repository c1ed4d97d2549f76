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
_LOOKS_PER_INNER = 4


def _read(job: JobDirs) -> Values:
    controller = next((name for name in (*_V1_ORDER, "v2") if job.has(name)), None)
    if controller is None:
        raise NoData("no directory")
    counts = _processes(job, controller)
    processes = sum(counts.values())
    gauges: dict[str, float] = {"processes": processes, "_populated": float(processes > 0)}
    if controller == "v2":
        events = parse_flat(job.follow("v2", "cgroup.events"))
        gauges["_populated"] = float(events.get("populated", 1))
    with suppress(NoData):
        gauges["threads"] = _threads(job, controller, [part for part in counts if counts[part]])
    return Values({}, gauges)


def _threads(job: JobDirs, controller: str, parts: list[str]) -> int:
    # pids.current counts tasks, that is threads.
    try:
        return int(job.read("pids" if job.has("pids") else "v2", "pids.current"))
    except NoData:
        name = "cgroup.threads" if controller == "v2" else "tasks"
        return sum(_counts(job, controller, name, parts).values()) if parts else 0


def _counts(job: JobDirs, controller: str, name: str, parts: list[str]) -> dict[str, int]:
    # Such a file lists its own cgroup only: add up the tree. v1 must open it anew: a file that is
    # kept open and read each second shows the processes of the first reading for ever.
    read = job.follow if controller == "v2" else job.read
    counts = {}
    for part in parts:
        try:
            counts[part] = read(controller, name, part).count("\n")
        except NoData:
            continue
    if not counts:
        # Gone by now: that is not the same as having none.
        raise NoData(name)
    return counts


def _processes(job: JobDirs, controller: str) -> dict[str, int]:
    """Return part → processes. Parts with others below them, where Slurm puts none, are looked at
    only now and then once they had none."""
    parts = job.parts(controller, quick=True)
    notes = job.notes(controller)
    notes["looks"] = notes.get("looks", -1) + 1
    if notes["looks"] % _LOOKS_PER_INNER:
        return _counts(job, controller, "cgroup.procs", sorted(parts.keys() - notes["bare"]))
    counts = _counts(job, controller, "cgroup.procs", list(parts))
    inner = {part.rpartition("/")[0] for part in parts if part}
    notes["bare"] = {part for part in inner if counts.get(part) == 0}
    return counts


COLLECTOR = JobCollector(
    "job_processes", "processes and threads (cgroup.procs, pids.current)", Pace.ROUND, _read
)
