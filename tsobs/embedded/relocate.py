"""Making unpacked programs run where they lie, on their own C library."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tsobs.embedded.elf import interpreter
from tsobs.embedded.process import run_tool
from tsobs.errors import SetupError

__all__ = ["relocate"]


def relocate(root: Path, final: Path) -> int:
    """Bind every program under `root` to the loader and libraries in it; returns how many.

    The paths written are those under `final`, where `root` will be renamed to: a loader's path
    must be absolute, so the tree cannot be moved afterwards. Needs patchelf and libc6 in `root`.
    """
    programs = dict(_programs(root))
    if not programs:
        return 0
    folders = _library_folders(root)
    loader = _loader(folders, next(iter(programs.values())))
    patchelf = root / "usr/bin/patchelf"
    programs.pop(patchelf, None)
    if not programs:
        return 0
    here = ":".join(str(folder) for folder in folders)
    there = ":".join(str(final / folder.relative_to(root)) for folder in folders)
    run_patchelf: list[str | Path] = [loader, "--library-path", here, patchelf, "--force-rpath"]
    bind: list[str | Path] = [
        "--set-rpath",
        there,
        "--set-interpreter",
        final / loader.relative_to(root),
    ]
    try:
        run_tool([*run_patchelf, *bind, *sorted(programs)])
    except PermissionError as error:
        raise SetupError(
            f"Programs in {root.parent} may not be run (is the file system mounted 'noexec'?). "
            "Choose another place with TSOBS_CACHE_DIR."
        ) from error
    return len(programs)


def _programs(root: Path) -> Iterator[tuple[Path, str]]:
    """Executables with the interpreter they ask for; libraries follow the program's RPATH."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if path.is_symlink() or not path.is_file() or not path.stat().st_mode & 0o111:
                continue
            # libc.so.6 and the loader are executable too; they stay as they are.
            if ".so" not in name and (asked := interpreter(path)) is not None:
                yield path, asked


def _library_folders(root: Path) -> list[Path]:
    """The folders of the C library, which older releases split over /lib and /usr/lib."""
    triplets = {path.parent.name for path in root.glob("*lib/*/libc.so.6")}
    triplets |= {path.parent.name for path in root.glob("usr/lib/*/libc.so.6")}
    found = [root / base / name for base in ("usr/lib", "lib") for name in sorted(triplets)]
    return [folder for folder in found if folder.is_dir()]


def _loader(folders: list[Path], asked: str) -> Path:
    name = Path(asked).name
    return next(path for folder in folders if (path := folder / name).exists())
