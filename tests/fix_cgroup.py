"""Real cgroups shaped like Slurm's jobs, made for one test and removed whatever happens in it."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

__all__ = ["CGROUP_ROOT", "CgroupJob", "slurm_v1_job", "slurm_v2_job"]

CGROUP_ROOT = Path("/sys/fs/cgroup")
_CONTROLLERS = ("cpu", "cpuacct", "memory", "cpuset", "pids", "blkio", "freezer")
# Ours bear the pid of the test process, so that leftovers of a killed run can be told and removed.
_OURS = re.compile(r"(?:slurm_)?tsobs-(\d+)-\d+(?:\.slice)?\Z")
_EMPTY_WITHIN_S = 10.0
_numbers = itertools.count(1)

# Joins the cgroups before the program starts, so that all it uses is counted.
_JOIN_AND_EXEC = """
while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 125; shift; done
shift; exec "$@"
"""


class CgroupJob:
    """One Slurm-shaped job: `dirs` by controller (`v2` for the unified mount), processes run
    inside."""

    def __init__(self, node: str, job_id: str, uid: int, tops: Mapping[str, Path]) -> None:
        self.node = node
        self.job_id = job_id
        self.uid = uid
        self.tops = dict(tops)
        self.dirs: dict[str, Path] = {}
        self._started: list[subprocess.Popen[bytes]] = []

    def make(self) -> None:
        """Make the job's directories; also again, after `remove_dirs`, as a requeued job."""
        for controller, top in self.tops.items():
            inner = (
                f"job_{self.job_id}" if controller == "v2" else f"uid_{self.uid}/job_{self.job_id}"
            )
            path = top / inner
            _make_tree(_above(top), path, inherit_cpuset=controller == "cpuset")
            self.dirs[controller] = path

    def add_part(self, name: str) -> None:
        """Make a directory below the job's, such as `step_batch/task_0`, under each controller."""
        for controller, path in self.dirs.items():
            _make_tree(path, path / name, inherit_cpuset=controller == "cpuset")

    def run(
        self, arguments: Sequence[str], part: str = "", **options: Any
    ) -> subprocess.Popen[bytes]:
        """Start a program inside the job, or inside one of its parts; it is killed at the latest at
        the end."""
        folders = [str(path / part) for path in self.dirs.values()]
        process = subprocess.Popen(
            ["/bin/sh", "-c", _JOIN_AND_EXEC, "sh", *folders, "--", *arguments], **options
        )
        self._started.append(process)
        return process

    def usage_s(self) -> float:
        """Return the CPU seconds that the kernel counted for the job."""
        if "cpuacct" in self.dirs:
            return int((self.dirs["cpuacct"] / "cpuacct.usage").read_text()) / 1e9
        text = (self.dirs["v2"] / "cpu.stat").read_text()
        return int(text.split("usage_usec ")[1].split()[0]) / 1e6

    def limit_memory(self, size_bytes: int) -> None:
        """Set the job's memory limit (v1)."""
        (self.dirs["memory"] / "memory.limit_in_bytes").write_text(str(size_bytes))

    def kill(self) -> None:
        """Kill all processes in the job and wait until they are gone."""
        deadline = time.monotonic() + _EMPTY_WITHIN_S
        while pids := {pid for path in self.dirs.values() for pid in _pids(path)}:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.reap()
            if time.monotonic() > deadline:
                raise TimeoutError(f"processes {pids} do not die")
            time.sleep(0.01)
        self.reap()

    def reap(self) -> None:
        """Take the exit status of those that have ended."""
        for process in self._started:
            process.poll()

    def remove_dirs(self) -> None:
        """Remove the job's directories, as slurmstepd does at its end; its processes must be
        gone."""
        for path in self.dirs.values():
            _remove_tree(path)

    def remove(self) -> None:
        """Kill, remove the job and what was made above it; may be called again."""
        self.kill()
        for process in self._started:
            process.wait(_EMPTY_WITHIN_S)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        self.remove_dirs()
        for top in self.tops.values():
            # What another job still uses stays.
            for folder in (top / f"uid_{self.uid}", top, top.parent):
                if folder != top.parent or folder.name.endswith(".slice"):
                    with contextlib.suppress(OSError):
                        folder.rmdir()


SlurmJobs = Callable[..., CgroupJob]


@pytest.fixture(scope="session")
def _no_leftovers() -> None:
    for folder in (*(CGROUP_ROOT / name for name in _CONTROLLERS), CGROUP_ROOT / "unified"):
        for path in folder.glob("*tsobs-*"):
            match = _OURS.match(path.name)
            if match and not Path(f"/proc/{match[1]}").exists():
                for pid in _pids(path):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                _remove_tree(path)


@pytest.fixture
def slurm_v1_job(_no_leftovers: None) -> Iterator[SlurmJobs]:
    """Factory `(job_id="…", uid=…, node=None, controllers=None)` of real cgroup v1 jobs; give the
    agent `node`.

    The directories are `/sys/fs/cgroup/<controller>/slurm_<node>/uid_<uid>/job_<id>`; node is
    unique unless given.
    """
    mounted = [name for name in _CONTROLLERS if (CGROUP_ROOT / name / "cgroup.procs").exists()]
    if os.geteuid() != 0 or "cpuacct" not in mounted:
        pytest.skip("needs root and cgroup v1 controllers")

    def tops(node: str, controllers: Sequence[str] | None) -> dict[str, Path]:
        return {name: CGROUP_ROOT / name / f"slurm_{node}" for name in controllers or mounted}

    yield from _factory(tops)


@pytest.fixture
def slurm_v2_job(_no_leftovers: None) -> Iterator[SlurmJobs]:
    """Factory like `slurm_v1_job` of real jobs under the host's cgroup v2 mount, unified or
    hybrid."""
    roots = [CGROUP_ROOT, CGROUP_ROOT / "unified"]
    root = next((path for path in roots if (path / "cgroup.controllers").exists()), None)
    if os.geteuid() != 0 or root is None:
        pytest.skip("needs root and a cgroup v2 mount")

    def tops(node: str, _controllers: Sequence[str] | None) -> dict[str, Path]:
        return {"v2": root / f"{node}.slice" / f"{node}_slurmstepd.scope"}

    yield from _factory(tops)


def _factory(
    tops: Callable[[str, Sequence[str] | None], dict[str, Path]],
) -> Iterator[SlurmJobs]:
    made: list[CgroupJob] = []

    def make(
        job_id: str = "4711",
        uid: int = 1000,
        node: str | None = None,
        controllers: Sequence[str] | None = None,
    ) -> CgroupJob:
        node = node or f"tsobs-{os.getpid()}-{next(_numbers)}"
        job = CgroupJob(node, job_id, uid, tops(node, controllers))
        made.append(job)
        job.make()
        return job

    try:
        yield make
    finally:
        with contextlib.ExitStack() as stack:
            for job in made:
                stack.callback(job.remove)


def _make_tree(above: Path, path: Path, *, inherit_cpuset: bool) -> None:
    for folder in reversed([path, *itertools.takewhile(lambda p: p != above, path.parents)]):
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
        if inherit_cpuset:
            # Without CPUs and memory nodes a v1 cpuset takes no process.
            for name in ("cpuset.cpus", "cpuset.mems"):
                if not (folder / name).read_text().strip():
                    (folder / name).write_text((folder.parent / name).read_text())


def _pids(path: Path) -> Iterator[int]:
    for folder in (path, *(found for found in path.rglob("*") if found.is_dir())):
        with contextlib.suppress(OSError):
            yield from map(int, (folder / "cgroup.procs").read_text().split())


def _remove_tree(path: Path) -> None:
    folders = [path, *(found for found in path.rglob("*") if found.is_dir())]
    for folder in sorted(folders, key=lambda found: -len(found.parts)):
        deadline = time.monotonic() + _EMPTY_WITHIN_S
        while folder.is_dir():
            try:
                folder.rmdir()
            except FileNotFoundError:
                break
            except OSError:  # EBUSY for a moment after the last process is gone
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)


def _above(top: Path) -> Path:
    return next(path for path in top.parents if not path.name.endswith(".slice"))
