"""Where the unpacked programs and the data live."""

from __future__ import annotations

import os
from pathlib import Path

from tsobs.errors import SetupError

__all__ = ["cache_dir", "data_dir", "make_folder"]


def cache_dir() -> Path:
    """The folder for what can be fetched again: TSOBS_CACHE_DIR, or the caller's cache."""
    # Root's home is closed to the account that the server runs as.
    return _place("TSOBS_CACHE_DIR", "XDG_CACHE_HOME", ".cache", Path("/var/cache/tsobs"))


def data_dir() -> Path:
    """The folder for the data: TSOBS_DATA_DIR, or the caller's state folder."""
    return _place("TSOBS_DATA_DIR", "XDG_STATE_HOME", ".local/state", Path("/var/lib/tsobs"))


def _place(own: str, xdg: str, under_home: str, for_root: Path) -> Path:
    if chosen := os.environ.get(own):
        return Path(chosen).expanduser().absolute()
    if os.geteuid() == 0:
        return for_root
    # The XDG rules say to ignore a relative path.
    base = os.environ.get(xdg, "")
    if base.startswith("/"):
        return Path(base) / "tsobs"
    try:
        return Path.home() / under_home / "tsobs"
    except RuntimeError:
        raise SetupError(f"There is no home folder; say where to keep files with {own}.") from None


def make_folder(path: Path) -> None:
    """Make the folder and those above it; what root makes here, the server's account may enter."""
    missing = [folder for folder in [path, *path.parents] if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            # Whatever the umask says: the server does not run as root.
            folder.chmod(0o755)
