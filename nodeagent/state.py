"""The state file: last counters and unacknowledged batches in one file that is replaced whole or
not at all.

tsobs-agent-state 1 <crc32, 8 hex digits> <bytes that follow>
<the state as one line of JSON>
<an unacknowledged batch, byte for byte, one a line>
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["StateFile", "Stored", "in_use", "replace_file", "sync_folder"]

logger = logging.getLogger(__name__)

_FIRST_LINE = re.compile(rb"tsobs-agent-state 1 ([0-9a-f]{8}) (\d+)\n")


class Stored(NamedTuple):
    """What the file held: the state, and the batches not yet acknowledged, oldest first."""

    document: dict[str, Any]
    batches: list[bytes]


class StateFile:
    """Reads and replaces the state file of one agent."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state"

    def load(self) -> Stored | None:
        """Return what is stored; None when nothing is, or it is damaged: then the file is put
        aside."""
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return _parse(raw)
        except ValueError as damage:
            aside = self.path.with_name(f"state.damaged-{int(time.time())}")
            self.path.replace(aside)
            logger.error(
                "the state file is damaged (%s): kept as %s; a new stream begins,"
                " and what was unsent in it is not sent",
                damage,
                aside,
            )
            return None

    def save(self, document: dict[str, Any], batches: Sequence[bytes]) -> None:
        """Replace the file; OSError when it could not be written, then the old one is still
        whole."""
        rest = b"\n".join([_line(document), *batches, b""])
        first = b"tsobs-agent-state 1 %08x %d\n" % (zlib.crc32(rest), len(rest))
        replace_file(self.path, first + rest)


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; BlockingIOError when another agent has it, OSError when
    unusable."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def replace_file(path: Path, data: bytes) -> None:
    """Put data in place of a file so that after a crash there is the old or the new, whole and on
    disk."""
    fresh = path.with_name(path.name + ".new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    finally:
        os.close(handle)
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames and removals in a folder last."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _line(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode("ascii")


def _parse(raw: bytes) -> Stored:
    first = _FIRST_LINE.match(raw)
    if first is None:
        raise ValueError("no first line of this format")
    rest = raw[first.end() :]
    if len(rest) != int(first[2]) or zlib.crc32(rest) != int(first[1], 16):
        raise ValueError("cut short or altered")
    line, *batches = rest.split(b"\n")[:-1]
    document = json.loads(line)
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    return Stored(document, batches)
