"""What a job's processes tell about it: whose it is, since when it runs, and what Slurm called
it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from nodeagent.clock import Instant
from nodeagent.collector import NoData
from nodeagent.job_dirs import JobDirs
from nodeagent.kernel_text import NS_PER_TICK
from nodeagent.paths import Paths
from nodeagent.process_environ import GPU_VARIABLES, Facts, facts_of, parse_environ

__all__ = ["Learned", "learn", "oldest_start", "owner_uid", "parse_start_ticks", "parse_uid"]

_UID = re.compile(r"^Uid:\s+(\d+)", re.MULTILINE)
# Any process of the job will do; a job of thousands need not be read whole.
_MAX_PROCESSES = 64
# Of these at most so many environments are read at a look, each up to this size.
_MAX_ENVIRONS = 8
_MAX_ENVIRON_BYTES = 262_144
_STEP = re.compile(r"step_(?P<step>batch|interactive|\d+)(?P<rest>/.*)?\Z")
# Slurm's own process of a step says which it is; it alone is in `slurm`.
_TITLE = re.compile(rb"slurmstepd: \[(\d{1,18})[.+]")
# v1: proctrack's controller first, it holds all processes.
_CONTROLLERS = ("v2", "freezer", "cpuacct", "memory", "cpuset", "pids", "cpu", "blkio")
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


class Learned(NamedTuple):
    """What could be learned: the job's id, facts (None: no process that could tell), the first
    process of each task that was looked at, and what its environment says of GPUs."""

    job_id: str | None
    facts: Facts | None
    leaders: tuple[int, ...]
    gpu_variables: Mapping[str, str] = {}


def learn(job: JobDirs, key: str, job_id: str | None, uid: int | None) -> Learned:
    """Ask a few of the job's processes; `key` is the name of its directory without `job_`.

    Where the directory bears a SLUID, slurmstepd's title tells the id; without it the processes of
    the job, when all that were asked agree.
    """
    if job_id is None:
        job_id = _titled_id(job)
    leaders: dict[str, int] = {}
    found: list[tuple[str, Facts]] = []
    gpus: list[dict[str, str]] = []
    for part, pid in _candidates(job):
        owned = uid is None or _uid(job.paths, pid) == uid
        variables = parse_environ(_bytes_of(job.paths, f"{pid}/environ", _MAX_ENVIRON_BYTES))
        # Now: a process that took over the number is not the job's.
        if not _is_of(job.paths, pid, key):
            continue
        leaders.setdefault(part, int(pid))
        told_id = _told_id(variables, key)
        if owned and told_id is not None and job_id in (None, told_id):
            found.append((told_id, facts_of(variables, here=os.uname().nodename, uid=uid)))
            gpus.append({name: variables[name] for name in GPU_VARIABLES if name in variables})
    if job_id is None and len({told_id for told_id, _ in found}) == 1:
        job_id = found[0][0]
    facts = found[0][1] if found and job_id is not None else None
    return Learned(job_id, facts, tuple(leaders.values()), gpus[0] if facts is not None else {})


def _told_id(variables: Mapping[str, str], key: str) -> str | None:
    told_id = variables.get("SLURM_JOB_ID", "")
    if not told_id.isascii() or not told_id.isdigit() or len(told_id) > 18:
        return None
    return told_id if key in (told_id, variables.get("SLURM_JOB_SLUID")) else None


def _titled_id(job: JobDirs) -> str | None:
    for part in list(job.parts("v2")):
        if part.startswith("step_") and part.endswith("/slurm"):
            for pid in _pids(job, "v2", part):
                title = _TITLE.match(_bytes_of(job.paths, f"{pid}/cmdline"))
                if title:
                    return title[1].decode("ascii")
    return None


def _candidates(job: JobDirs) -> Iterator[tuple[str, str]]:
    """Yield processes of the job's own, the batch step's first; not those that an extern step
    adopted, which may come from anywhere."""
    controller = next((name for name in _CONTROLLERS if job.has(name)), None)
    if controller is None:
        return
    steps: dict[str, list[str]] = {}
    for part in job.parts(controller):
        match = _STEP.match(part)
        if match and not (match["rest"] or "").startswith("/slurm"):
            steps.setdefault(match["step"], []).append(part)
    left = _MAX_ENVIRONS
    for step in sorted(steps, key=_rank):
        for part in steps[step]:
            for pid in _pids(job, controller, part):
                yield part, pid
                left -= 1
                if left == 0:
                    return


def _rank(step: str) -> tuple[int, int]:
    return (2, int(step)) if step.isdigit() else (0 if step == "batch" else 1, 0)


def _is_of(paths: Paths, pid: str, key: str) -> bool:
    try:
        lines = paths.read_proc(f"{pid}/cgroup").splitlines()
    except OSError:
        return False
    names = (f"/job_{key}/", f"/{key}/")
    return any(name in f"{line}/" for line in lines for name in names)


def _bytes_of(paths: Paths, name: str, most: int = 4096) -> bytes:
    try:
        with Path(paths.proc, name).open("rb", buffering=0) as file:
            return _read_up_to(file.fileno(), most)
    except OSError:
        return b""


def _read_up_to(handle: int, most: int) -> bytes:
    parts = []
    while most > 0 and (part := os.read(handle, most)):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)


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
