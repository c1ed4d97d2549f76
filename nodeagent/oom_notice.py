"""Being told by a v1 kernel that a job runs out of memory, in time to count the kill: v1 forgets it
with the directory of the step it happened in."""

from __future__ import annotations

import ctypes
import logging
import os
from contextlib import suppress
from pathlib import Path

from nodeagent.job_dirs import JobDirs

__all__ = ["OomNotice"]

logger = logging.getLogger(__name__)

_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK
# The kernel tells all directories below the limit that was hit: the job and its steps suffice.
_MAX_DEPTH = 1


class OomNotice:
    """One descriptor that becomes readable when the job or one of its steps is out of memory, and
    when such a directory goes; -1 where the kernel does not offer it."""

    def __init__(self) -> None:
        self.handle = -1
        self._covered: set[tuple[str, int]] = set()
        self._refused = False

    def cover(self, job: JobDirs) -> None:
        """Ask for news of the job's directories that are not covered yet."""
        if self._refused or not job.has("memory"):
            return
        for part, inode in list(job.parts("memory", quick=True).items()):
            if part.count("/") >= _MAX_DEPTH or (part, inode) in self._covered:
                continue
            self._covered.add((part, inode))
            self._register(Path(job.dirs["memory"].path, part))

    def drain(self) -> bool:
        """Take note of the news, so that only the next one is told; tell whether there was any."""
        with suppress(OSError):
            return bool(os.read(self.handle, 8))
        return False

    def close(self) -> None:
        """Let go; may be called again."""
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1
            self._refused = True

    def _register(self, folder: Path) -> None:
        try:
            if self.handle < 0:
                self.handle = _eventfd()
            with (folder / "memory.oom_control").open("rb") as subject:
                line = f"{self.handle} {subject.fileno()}".encode()
                # Not open(): a file that is not there must not be made.
                control = os.open(folder / "cgroup.event_control", os.O_WRONLY | os.O_CLOEXEC)
                try:
                    os.write(control, line)
                finally:
                    os.close(control)
        except FileNotFoundError:
            return
        except OSError as failure:
            logger.debug("no news of %s: %s", folder, failure)
            self._refused = True


def _eventfd() -> int:
    # os.eventfd came with Python 3.10.
    libc = ctypes.CDLL(None, use_errno=True)
    handle = int(libc.eventfd(0, _FLAGS))
    if handle < 0:
        raise OSError(ctypes.get_errno(), "eventfd")
    return handle
