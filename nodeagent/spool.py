"""Batches too old for the state file: one file each, bounded in all; and those the service
refused."""

from __future__ import annotations

import gzip
import logging
import re
import zlib
from pathlib import Path
from typing import NamedTuple

from nodeagent.state import replace_file

__all__ = ["Spool", "SpoolFile"]

logger = logging.getLogger(__name__)

_NAME = re.compile(r"([0-9a-f]{32})-(\d{12})\.json\.gz\Z")
# A small file takes a block; counted so that the limit speaks of disk space.
_BLOCK_BYTES = 4096
# Refused batches are there to be looked at by a person: a few suffice.
_REFUSED_KEPT = 100


class SpoolFile(NamedTuple):
    """One batch on disk: its numbers as made, and the space it takes."""

    stream: str
    seq: int
    size_bytes: int


class Spool:
    """The folders `spool` and `refused` below the state folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "spool"
        self._refused = folder / "refused"

    def files(self) -> list[SpoolFile]:
        """Return what is spooled, by stream and seq."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        found = []
        for path in sorted(self._folder.iterdir()):
            match = _NAME.match(path.name)
            if path.name.endswith(".new"):  # cut off by a crash; its batch is in the state file
                path.unlink(missing_ok=True)
            elif match:
                found.append(SpoolFile(match[1], int(match[2]), _on_disk(path.stat().st_size)))
        return found

    def write(self, stream: str, seq: int, body: bytes) -> SpoolFile:
        """Write a batch so that it lasts; OSError when that fails."""
        data = gzip.compress(body, compresslevel=1, mtime=0)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        replace_file(self._path(stream, seq), data)
        return SpoolFile(stream, seq, _on_disk(len(data)))

    def read(self, stream: str, seq: int) -> bytes:
        """Return a batch's bytes; OSError when it cannot be read, ValueError when it is damaged."""
        data = self._path(stream, seq).read_bytes()
        try:
            return gzip.decompress(data)
        except (EOFError, zlib.error, gzip.BadGzipFile) as damage:
            raise ValueError(str(damage)) from damage

    def remove(self, stream: str, seq: int) -> None:
        """Forget a batch; one that comes back after a crash is sent again, and is a duplicate."""
        self._path(stream, seq).unlink(missing_ok=True)

    def keep_refused(self, stream: str, seq: int, body: bytes, reason: str) -> Path:
        """Write a refused batch and the service's reason beside it; the oldest make room. OSError
        on failure."""
        self._refused.mkdir(mode=0o700, exist_ok=True)
        path = self._refused / f"{stream}-{seq:012d}.json"
        replace_file(path, body)
        replace_file(path.with_suffix(".reason"), reason.encode("utf-8", "replace") + b"\n")
        kept = sorted(self._refused.glob("*.json"), key=lambda item: item.stat().st_mtime_ns)
        for old in kept[:-_REFUSED_KEPT]:
            old.unlink(missing_ok=True)
            old.with_suffix(".reason").unlink(missing_ok=True)
        return path

    def _path(self, stream: str, seq: int) -> Path:
        return self._folder / f"{stream}-{seq:012d}.json.gz"


def _on_disk(size: int) -> int:
    return -(-size // _BLOCK_BYTES) * _BLOCK_BYTES
