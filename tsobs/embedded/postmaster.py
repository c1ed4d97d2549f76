"""The server's processes: which one it is, whether it is ready, and how it is ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tsobs.errors import SetupError

__all__ = ["end_orphans", "find", "is_ready", "stop", "wait_until"]

POLL_S = 0.02
READY_LINE = 7  # of postmaster.pid, counted from 0
FAST, IMMEDIATE = signal.SIGINT, signal.SIGQUIT
# Backends without a parent notice within a moment, unless they are in a long query.
ORPHAN_WAIT_S = 10.0


def find(pgdata: Path) -> int | None:
    """The process id of the live server on `pgdata`, or None.

    postmaster.pid alone proves nothing: after a kill or a reboot its number may be anybody's.
    """
    lines = _pid_file(pgdata)
    if not lines or not lines[0].strip().isdigit():
        return None
    pid = int(lines[0])
    return pid if _works_in(pid, pgdata) else None


def is_ready(pgdata: Path) -> bool:
    """Whether the server says that it accepts connections."""
    lines = _pid_file(pgdata)
    return len(lines) > READY_LINE and lines[READY_LINE].strip() == "ready"


def _pid_file(pgdata: Path) -> list[str]:
    try:
        return (pgdata / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []
    except PermissionError as error:
        raise SetupError(f"{pgdata} is not readable: it belongs to another user.") from error


def _works_in(pid: int, pgdata: Path) -> bool:
    """Whether the process is alive in that folder, where every server process lives.

    A process that ended and was not waited for has no folder any more.
    """
    try:
        return Path(f"/proc/{pid}/cwd").samefile(pgdata)
    except OSError:
        return False


def stop(pgdata: Path, *, deadline_s: float) -> bool:
    """End the server, politely first, and wait for it; returns whether there was one."""
    pid = find(pgdata)
    if pid is None:
        return False
    for how, patience_s in ((FAST, deadline_s), (IMMEDIATE, 10.0), (signal.SIGKILL, 5.0)):
        _send(pid, how)
        if wait_until(lambda: find(pgdata) is None, patience_s):
            return True
    raise SetupError(f"The database server (process {pid}) does not end.")


def _send(pid: int, how: signal.Signals) -> None:
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise SetupError(f"The database server (process {pid}) is another user's.") from error


def end_orphans(pgdata: Path, is_unused: Callable[[], bool]) -> bool:
    """End what a killed server left running on `pgdata`; returns whether all of it is gone."""
    if wait_until(is_unused, 0.5):
        return True
    for how in (IMMEDIATE, signal.SIGKILL):
        for pid in _workers(pgdata):
            _send(pid, how)
        if wait_until(is_unused, ORPHAN_WAIT_S / 2):
            return True
    return False


def _workers(pgdata: Path) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _works_in(int(entry.name), pgdata) and _is_postgres(entry):
            yield int(entry.name)


def _is_postgres(entry: Path) -> bool:
    # A shell that stands in the folder is none of our business.
    try:
        return (entry / "exe").readlink().name.removesuffix(" (deleted)") == "postgres"
    except OSError:
        return False


def wait_until(happened: Callable[[], bool], patience_s: float) -> bool:
    """Whether it happened before the time was up."""
    deadline = time.monotonic() + patience_s
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True
