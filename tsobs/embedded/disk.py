"""Disk trouble, told in words: full, read-only, not ours."""

from __future__ import annotations

import errno
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tsobs.embedded.process import ToolFailed
from tsobs.errors import SetupError

__all__ = ["disk_error", "disk_errors", "require_free"]

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}
FULL_TEXT = re.compile(
    r"No space left on device|Disk quota exceeded|File too large|enough free space", re.I
)
READ_ONLY_TEXT = re.compile(r"Read-only file system", re.I)


def require_free(folder: Path, needed_bytes: int, what: str, *, setting: str) -> None:
    """Raise SetupError when the file system of `folder` has less than `needed_bytes` left."""
    existing = next(p for p in [folder, *folder.parents] if p.exists())
    free_bytes = shutil.disk_usage(existing).free
    if free_bytes < needed_bytes:
        raise SetupError(
            f"{what} needs {needed_bytes / 1e6:.0f} MB in {folder}, where {free_bytes / 1e6:.0f} "
            f"MB are free. Make room there, or choose another place with {setting}."
        )


@contextmanager
def disk_errors(folder: Path, *, setting: str) -> Iterator[None]:
    """Turn what a full or closed disk makes of the body into a SetupError naming `setting`."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise _full(folder, setting) from error
        if error.errno in CLOSED:
            where = error.filename or folder
            raise SetupError(
                f"Cannot write to {where}: {error.strerror}. Choose another place with {setting}."
            ) from error
        raise
    except ToolFailed as error:
        if (translated := disk_error(error, folder, setting=setting)) is not None:
            raise translated from error
        raise


def disk_error(error: ToolFailed, folder: Path, *, setting: str) -> SetupError | None:
    """The SetupError for a tool that stumbled over a full or read-only disk, else None."""
    if FULL_TEXT.search(error.output) or error.returncode == -signal.SIGXFSZ:
        return _full(folder, setting)
    if READ_ONLY_TEXT.search(error.output):
        return SetupError(
            f"{folder} is on a read-only file system. Choose another place with {setting}."
        )
    return None


def _full(folder: Path, setting: str) -> SetupError:
    return SetupError(
        f"The disk of {folder} is full (or a quota is reached). Make room there, or choose "
        f"another place with {setting}; then run the same command again."
    )
