"""Locks between processes, held by an open file and gone with its last holder."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tsobs.embedded.process import HELD_LOCKS, Progress
from tsobs.errors import SetupError

__all__ = ["exclusive", "take", "try_take"]

POLL_S = 0.05


@contextmanager
def exclusive(path: Path, *, doing: str, progress: Progress, wait_s: float) -> Iterator[None]:
    """Hold the lock while the body runs; a second process says so and waits, at most `wait_s`."""
    fd = take(path, doing=doing, progress=progress, wait_s=wait_s)
    outer = HELD_LOCKS.set((*HELD_LOCKS.get(), fd))
    try:
        yield
    finally:
        HELD_LOCKS.reset(outer)
        os.close(fd)


def take(path: Path, *, doing: str, progress: Progress, wait_s: float) -> int:
    """Lock and return the open file; raises SetupError when it stays taken for `wait_s`."""
    fd = try_take(path)
    if fd is not None:
        return fd
    progress(f"another tsobs is {doing}; waiting for it …")
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        time.sleep(POLL_S)
        if (fd := try_take(path)) is not None:
            return fd
    raise SetupError(
        f"Another process has been {doing} for over {wait_s:.0f} s. If it hangs, end it and run "
        f"this command again (it holds {path})."
    )


def try_take(path: Path) -> int | None:
    """Lock and return the open file, or None when another process holds it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    return fd
