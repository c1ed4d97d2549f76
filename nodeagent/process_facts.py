"""What a job's processes tell about it: whose it is, and since when it runs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nodeagent.clock import Instant
from nodeagent.collector import NoData
from nodeagent.job_dirs import JobDirs
from nodeagent.kernel_text import NS_PER_TICK
from nodeagent.paths import Paths

__all__ = ["oldest_start", "owner_uid", "parse_start_ticks", "parse_uid"]

_UID = re.compile(r"^Uid:\s+(\d+)", re.MULTILINE)
# Any process of the job will do; a job of thousands need not be read whole.
_MAX_PROCESSES = 64
_STARTTIME = (
    22 - 3
)  # field 22 of /proc/PID/stat; what follows the name in brackets begins with field 3


def parse_uid(status: str) -> int | None:
    """Return the real uid in a /proc/PID/status."""
    match = _UID.search(status)
    return int(match[1]) if match else None


def parse_start_ticks(stat: str) -> int:
    """Return the start time in a /proc/PID/stat, ticks since boot; the name in it may hold
    anything."""
    return int(stat.rpartition(")")[2].split()[_STARTTIME])


def owner_uid(job: JobDirs) -> int | None:
    """Return the uid of a job's own processes, those below `user` of its steps; None while there is
    none.

    slurmstepd, and the placeholder in the extern step, run as root: another uid is the owner's.
    """
    root = None
    for part in list(job.parts("v2")):
        if "/user/" not in part:
            continue
        for pid in _pids(job, "v2", part):
            uid = _uid(job.paths, pid)
            if uid:
                return uid
            if uid == 0 and not part.startswith("step_extern/"):
                root = 0
    return root


def oldest_start(job: JobDirs, at: Instant) -> float | None:
    """Return when the oldest of a job's processes started, unix seconds; None when it has none."""
    oldest = None
    for controller in job.dirs:
        for part in list(job.parts(controller)):
            for pid in _pids(job, controller, part):
                ticks = _start_ticks(job.paths, pid)
                if ticks is not None and (oldest is None or ticks < oldest):
                    oldest = ticks
    if oldest is None:
        return None
    return at.wall - (at.boot - oldest * NS_PER_TICK / 1e9)


def _pids(job: JobDirs, controller: str, part: str) -> Iterator[str]:
    try:
        yield from job.read(controller, "cgroup.procs", part).split()[:_MAX_PROCESSES]
    except NoData:
        return


def _uid(paths: Paths, pid: str) -> int | None:
    try:
        return parse_uid(paths.read_proc(f"{pid}/status"))
    except OSError:
        return None


def _start_ticks(paths: Paths, pid: str) -> int | None:
    try:
        return parse_start_ticks(paths.read_proc(f"{pid}/stat"))
    except (OSError, IndexError, ValueError):
        return None
