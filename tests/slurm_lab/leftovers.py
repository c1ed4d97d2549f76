"""Ending what a Slurm node runs and removing its cgroups: jobs and slurmstepd outlive slurmd."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["end", "remove_cgroups", "started_at"]

_CGROUPS = Path("/sys/fs/cgroup")
_WITHIN_S = 10.0


def end(pids: Iterable[int], how: signal.Signals = signal.SIGTERM) -> None:
    """Signal the processes and wait until they are gone; those that stay are killed."""
    left = set(pids)
    for attempt in (how, signal.SIGKILL):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, attempt)
        deadline = time.monotonic() + _WITHIN_S
        while (left := {pid for pid in left if _is_there(pid)}) and time.monotonic() < deadline:
            time.sleep(0.02)
    if left:
        raise TimeoutError(f"processes {left} do not die")


def started_at(pid: int) -> int | None:
    """When a process began, in clock ticks since boot; None when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def remove_cgroups(node: str) -> None:
    """Kill what is left in a node's cgroups (slurmstepd is in them, too), and remove them."""
    for top in _CGROUPS.glob(f"*/slurm_{node}"):
        while members := set(_members(top)):
            end(members, signal.SIGKILL)
        for folder in sorted(_folders(top), key=lambda found: -len(found.parts)):
            _remove(folder)


def _remove(folder: Path) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while True:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:  # EBUSY for a moment after the last process is gone
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _folders(top: Path) -> list[Path]:
    return [top, *(found for found in top.rglob("*") if found.is_dir())]


def _members(top: Path) -> Iterator[int]:
    for folder in _folders(top):
        with contextlib.suppress(OSError):
            yield from map(int, (folder / "cgroup.procs").read_text().split())


def _is_there(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # where it is our own
    return started_at(pid) is not None
