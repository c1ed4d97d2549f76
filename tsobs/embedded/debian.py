"""Fetching programs from the host's package archive into a folder, without root."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from tsobs.embedded.apt import Apt
from tsobs.embedded.disk import disk_errors, require_free
from tsobs.embedded.host import host_release
from tsobs.embedded.locks import exclusive
from tsobs.embedded.packages import Package
from tsobs.embedded.places import make_folder
from tsobs.embedded.process import Progress, ToolFailed, run_tool, silent
from tsobs.embedded.relocate import relocate
from tsobs.errors import SetupError

__all__ = ["fetch", "is_complete"]

# Raised when what is kept of a package, or how it is relocated, changes.
LAYOUT = 1
MARKER = ".tsobs.json"
INDEX_BYTES = 100_000_000  # the archive's index and apt's cache of it, while it is read
FETCH_WAIT_S = 1800.0
SETTING = "TSOBS_CACHE_DIR"
# Never read by a program: half of the unpacked size.
USELESS = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/lintian",
    "usr/lib/postgresql/*/lib/bitcode",
    "usr/lib/postgresql/*/lib/llvmjit*",
)


def fetch(
    packages: Sequence[str],
    *,
    suite: str | None = None,
    into: Path,
    progress: Progress = silent,
) -> Path:
    """Unpack the packages and the libraries they need under `into`, ready to run; returns `into`.

    `suite` is the release to take them from (None: the host's own); a name may hold a `*`, and of
    the packages it matches the newest is taken. What is there already is left alone. Interrupted,
    it goes on the next time with what had arrived. Raises SetupError with what to do.
    """
    if is_complete(into):
        return into
    codename = host_release()
    try:
        with disk_errors(into.parent, setting=SETTING):
            make_folder(into.parent)
            lock = into.parent / f".{into.name}.lock"
            doing = f"fetching {into.name}"
            with exclusive(lock, doing=doing, progress=progress, wait_s=FETCH_WAIT_S):
                if not is_complete(into):
                    _fetch(packages, codename, suite or codename, into, progress)
    except ToolFailed as error:
        raise SetupError(f"Fetching {', '.join(packages)} failed: {error}") from error
    return into


def is_complete(into: Path) -> bool:
    """Whether `into` holds a finished tree of this layout that was made for this very path."""
    try:
        marker = json.loads((into / MARKER).read_bytes())
    except (OSError, ValueError):
        return False
    # Loaders are bound by absolute path: a tree that was moved does not run.
    return bool(marker.get("layout") == LAYOUT and marker.get("path") == str(into))


def _fetch(
    packages: Sequence[str], codename: str, suite: str, into: Path, progress: Progress
) -> None:
    require_free(into.parent, INDEX_BYTES, "Fetching packages", setting=SETTING)
    work = into.parent / f".{into.name}.work"
    for leftover in ("apt", "root"):
        _remove(work / leftover)
    debs = work / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    apt = Apt(work / "apt", codename=codename, suite=suite, progress=progress)
    try:
        apt.update()
        chosen = apt.closure([*packages, "patchelf"])
        download_bytes = sum(package.download_bytes for package in chosen)
        unpacked_bytes = sum(package.installed_bytes for package in chosen)
        what = f"Fetching {packages[0]}"
        require_free(into.parent, download_bytes + unpacked_bytes, what, setting=SETTING)
        progress(f"fetching {_summary(chosen)} ({download_bytes / 1e6:.0f} MB) …")
        apt.download(chosen, debs)
    finally:
        _remove(work / "apt")
    progress("unpacking …")
    _unpack(debs, work / "root", into)
    names = {package.name: package.version for package in chosen}
    marker = {"layout": LAYOUT, "path": str(into), "suite": suite, "packages": names}
    (work / "root" / MARKER).write_text(json.dumps(marker, indent=1), encoding="utf-8")
    _remove(into)
    (work / "root").rename(into)
    _remove(work)


def _summary(chosen: Sequence[Package]) -> str:
    names = [package.name for package in chosen if package.section not in {"libs", "utils"}]
    return f"{', '.join(sorted(names)) or chosen[0].name} and libraries"


def _unpack(debs: Path, root: Path, final: Path) -> None:
    root.mkdir()
    root.chmod(0o755)
    for deb in sorted(debs.glob("*.deb")):
        run_tool(["dpkg", "-x", deb, root])
    for pattern in USELESS:
        for path in root.glob(pattern):
            _remove(path)
    relocate(root, final)
    (root / "usr/bin/patchelf").unlink(missing_ok=True)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
