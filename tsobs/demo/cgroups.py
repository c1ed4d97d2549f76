"""A real cgroup shaped like a Slurm job's, on cgroup v1 or v2, and its removal."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

__all__ = ["ROOT", "JobCgroup", "remove_jobs", "tops"]

ROOT = Path("/sys/fs/cgroup")
_V1 = ("cpuacct", "cpu", "memory", "cpuset", "pids")
_STEP = {"v1": "step_batch/task_0", "v2": "step_batch/user/task_0"}
_EMPTY_WITHIN_S = 5.0


def tops(node: str, root: Path = ROOT) -> Mapping[str, Path]:
    """Controller → the folder below which Slurm would keep the jobs of a node of that name.

    The only controller of cgroup v2 is `v2`; where both are mounted v1 is taken. Empty when there
    are no cgroups.
    """
    if (root / "cpuacct/cgroup.procs").exists():
        mounted = [name for name in _V1 if (root / name / "cgroup.procs").exists()]
        # Controllers mounted together have a link for each name.
        own = {name: (root / name).resolve() for name in mounted}
        return {name: path / f"slurm_{node}" for name, path in own.items()}
    if (root / "cgroup.controllers").exists():
        return {"v2": root / f"{node}.slice" / f"{node}_slurmstepd.scope"}
    return {}


class JobCgroup:
    """The directories of one job below its `tops`."""

    def __init__(self, tops: Mapping[str, Path], job_id: int, uid: int) -> None:
        v2 = "v2" in tops
        inner = f"job_{job_id}" if v2 else f"uid_{uid}/job_{job_id}"
        self._tops = tops
        self._jobs = {name: top / inner for name, top in tops.items()}
        self._step = _STEP["v2" if v2 else "v1"]

    def make(self, *, memory_bytes: int) -> None:
        """Makes them, with one CPU and a memory limit where the kernel lets us; raises OSError."""
        for controller, job in self._jobs.items():
            for folder in _missing(job / self._step):
                folder.mkdir(exist_ok=True)
                if controller == "cpuset":
                    _copy_cpuset(folder)
                elif controller == "v2":
                    _hand_down(folder.parent)
                if folder == job:
                    # Before there is anything below it that has more.
                    _limit(controller, job, memory_bytes)

    @property
    def folders(self) -> list[Path]:
        """Where a process of the job belongs, one a controller."""
        return [job / self._step for job in self._jobs.values()]


def remove_jobs(tops: Mapping[str, Path]) -> None:
    """Kills what runs below the folders and removes them; also what a killed demo left."""
    deadline = time.monotonic() + _EMPTY_WITHIN_S
    while pids := {pid for top in tops.values() for pid in _pids(top)}:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    for controller, top in tops.items():
        _remove_tree(top, deadline)
        if controller == "v2":
            with suppress(OSError):
                top.parent.rmdir()


def _missing(path: Path) -> list[Path]:
    """The folders that have to be made, outermost first."""
    return [folder for folder in reversed([path, *path.parents]) if not folder.exists()]


def _limit(controller: str, job: Path, memory_bytes: int) -> None:
    if controller in ("cpuset", "v2"):
        names = ("cpuset.cpus", "cpuset.cpus.effective")
        cpus = next(filter(None, (_read(job / name) for name in names)), "")
        _try_write(job / "cpuset.cpus", cpus.replace("-", ",").split(",")[0])
    name = {"memory": "memory.limit_in_bytes", "v2": "memory.max"}.get(controller)
    if name:
        _try_write(job / name, str(memory_bytes))


def _copy_cpuset(folder: Path) -> None:
    # Without CPUs and memory nodes a v1 cpuset takes no process.
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not _read(folder / name):
            _try_write(folder / name, _read(folder.parent / name))


def _hand_down(folder: Path) -> None:
    # One by one: each that the parent does not have fails alone.
    for name in ("cpu", "memory", "cpuset", "pids"):
        _try_write(folder / "cgroup.subtree_control", f"+{name}")


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _try_write(path: Path, text: str) -> None:
    # What a kernel does not offer is not measured either, and the agent says nothing of it.
    with suppress(OSError):
        if text and path.exists():
            path.write_text(text)


def _folders(top: Path) -> Iterator[Path]:
    """A folder and all below it, innermost first."""
    found = [top, *(path for path in top.rglob("*") if path.is_dir())] if top.is_dir() else []
    yield from sorted(found, key=lambda path: -len(path.parts))


def _pids(top: Path) -> Iterator[int]:
    for folder in _folders(top):
        yield from map(int, _read(folder / "cgroup.procs").split())


def _remove_tree(top: Path, deadline: float) -> None:
    for folder in _folders(top):
        while folder.is_dir():
            try:
                folder.rmdir()
            except FileNotFoundError:
                break
            except OSError:  # EBUSY for a moment after the last process is gone
                if time.monotonic() > deadline:
                    return
                time.sleep(0.01)
