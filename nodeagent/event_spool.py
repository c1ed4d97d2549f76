"""Hook events that could not be sent when they happened: one JSON body a file, left by Slurm's
hooks.

A file is claimed by renaming it to `….sending`, by whoever comes first: the agent or the next hook.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import time
from pathlib import Path
from typing import NamedTuple

__all__ = ["EventSpool", "SpooledEvent"]

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[^/]+\.(job-started|job-finished)\.json\Z")
_SENDING = ".sending"
# Who claimed it is dead by then: a POST takes 10 s at most.
_CLAIM_LASTS_S = 60.0
_MAX_BYTES = 1_048_576


class SpooledEvent(NamedTuple):
    """A claimed event: its path before the claim, its kind (job-started, job-finished), body."""

    path: Path
    kind: str
    body: bytes

    @property
    def claimed(self) -> Path:
        """Where the file is while it is claimed."""
        return self.path.with_name(self.path.name + _SENDING)


class EventSpool:
    """The folder of unsent events; OSError of the folder itself is the caller's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def waiting(self) -> list[Path]:
        """Return what may be claimed, oldest first; claims that were abandoned are opened again."""
        found = []
        now = time.time()
        with os.scandir(self.folder) as entries:
            for entry in entries:
                name = entry.name.removesuffix(_SENDING)
                if not _NAME.match(name):
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                path = self.folder / name
                if entry.name != name:
                    # A rename changes ctime, not mtime.
                    if now - max(status.st_mtime, status.st_ctime) < _CLAIM_LASTS_S:
                        continue
                    if not _rename(Path(entry.path), path):
                        continue
                found.append((status.st_mtime, path))
        return [path for _, path in sorted(found)]

    def claim(self, path: Path) -> SpooledEvent | None:
        """Claim a file and read it; None when another was faster. What can't be an event is
        refused."""
        event = SpooledEvent(path, "", b"")
        if not _rename(path, event.claimed):
            return None
        match = _NAME.match(path.name)
        assert match is not None
        try:
            body = _read(event.claimed)
        except (OSError, ValueError) as fault:
            self.refuse(event, str(fault))
            return None
        return event._replace(kind=match[1], body=body)

    def delivered(self, event: SpooledEvent) -> None:
        """Forget an event that the service has; one that comes back is merged again, unchanged."""
        event.claimed.unlink(missing_ok=True)

    def release(self, event: SpooledEvent) -> None:
        """Put an event back for later."""
        _rename(event.claimed, event.path)

    def refuse(self, event: SpooledEvent, reason: str) -> None:
        """Put an event aside that the service will never take, with the reason beside it."""
        folder = self.folder / "refused"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            event.claimed.replace(folder / event.path.name)
            (folder / f"{event.path.name}.reason").write_text(reason + "\n", "utf-8")
            logger.error("event %s refused: %s; kept in %s", event.path.name, reason, folder)
        except OSError as failure:
            logger.error("event %s refused: %s; not moved: %s", event.path.name, reason, failure)


def _rename(old: Path, new: Path) -> bool:
    try:
        old.rename(new)
    except OSError:
        return False
    return True


def _read(path: Path) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("no plain file")
        if status.st_size > _MAX_BYTES:
            raise ValueError(f"more than {_MAX_BYTES} bytes")
        return os.read(handle, _MAX_BYTES)
    finally:
        os.close(handle)
