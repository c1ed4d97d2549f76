"""The cgroup directories of one job: files read once or kept open to be followed, and the tree
below."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from nodeagent.collector import NoData
from nodeagent.paths import Paths

__all__ = ["CgroupDir", "FileBudget", "JobDirs"]

_READ_BYTES = 16_384
# The kernel hands out long lists in pages: a shorter answer than this is the end.
_PAGE_FILL_BYTES = 3_072
_GONE = (errno.ENODEV, errno.ENOENT)
# Deeper than job/step/user/task, and an end to any loop.
_MAX_DEPTH = 6
_YOUNG_LOOKS = 3


class CgroupDir(NamedTuple):
    """One directory of a job: its path, and its inode as identity."""

    path: str
    inode: int


class _Tree:
    """The directories of a job below one controller: inode and number of links of each."""

    def __init__(self) -> None:
        self.parts: dict[str, int] = {}
        self.links: dict[str, int] = {}
        # Slurm makes the directories of a step one by one: look at all of them for some more times.
        self.young = _YOUNG_LOOKS


class FileBudget:
    """How many more files may be kept open by all jobs together; past it files are opened for each
    reading."""

    def __init__(self, limit: int) -> None:
        self.left = limit


class JobDirs:
    """Reads files of a job's cgroups, by controller (`cpuacct`, `memory`, … or `v2`)."""

    def __init__(self, paths: Paths, dirs: Mapping[str, CgroupDir], budget: FileBudget) -> None:
        self.paths = paths
        self.dirs = dict(dirs)
        self._budget = budget
        self._files: dict[tuple[str, str, str], int] = {}
        self._missing: set[tuple[str, str, str]] = set()
        self._trees: dict[str, _Tree] = {}

    def has(self, controller: str) -> bool:
        """Tell whether the job has a directory under this controller."""
        return controller in self.dirs

    def path(self) -> str | None:
        """Return one directory of the job, in which its steps appear."""
        names = ("memory", "v2", *self.dirs)
        return next((self.dirs[name].path for name in names if name in self.dirs), None)

    def inodes(self) -> dict[str, int]:
        """Return controller → inode of the directories there are."""
        return {controller: found.inode for controller, found in self.dirs.items()}

    def move(self, dirs: Mapping[str, CgroupDir]) -> None:
        """Take over what a new look at the mounts found; directories gone or recreated are
        closed."""
        for controller in [name for name, old in self.dirs.items() if dirs.get(name) != old]:
            self._close(controller)
            del self.dirs[controller]
        self.dirs.update(dirs)

    def forget_missing(self) -> None:
        """Look again for files that were not there."""
        self._missing.clear()

    def read(self, controller: str, name: str, part: str = "") -> str:
        """Return a file's text; NoData when the file or its directory is not there (any more)."""
        return self._read((controller, part, name), keep=False)

    def follow(self, controller: str, name: str, part: str = "") -> str:
        """Return a file's text and keep it open: six times cheaper to read again, but 4 KiB of the
        kernel's memory."""
        return self._read((controller, part, name), keep=True)

    def handle(self, controller: str, name: str) -> int | None:
        """Return the descriptor of a file that is kept open, to poll it."""
        return self._files.get((controller, "", name))

    def parts(self, controller: str, *, quick: bool = False) -> dict[str, int]:
        """Return the directories of the job's tree, path below the job's own ("") → inode.

        A quick look finds new steps at once, and what else changes a few seconds later.
        """
        if controller not in self.dirs:
            return {}
        tree = self._trees.get(controller)
        if tree is None or not self._unchanged(controller, tree, quick and not tree.young):
            tree = self._trees[controller] = _Tree()
            self._walk(self.dirs[controller].path, "", tree, 0)
            self._close_parts(controller, tree.parts)
        tree.young = max(0, tree.young - 1)
        return tree.parts

    def close(self) -> None:
        """Close all files; may be called again."""
        for controller in list(self.dirs):
            self._close(controller)

    def _read(self, key: tuple[str, str, str], *, keep: bool) -> str:
        if key in self._missing:
            raise NoData(key[2])
        try:
            handle = self._files.get(key)
            return self._open_and_read(key, keep) if handle is None else _read_all(handle)
        except OSError as failure:
            if failure.errno not in _GONE:
                raise
            self._drop(key)
            if key[1]:
                # The part is gone or another by now.
                self._trees.pop(key[0], None)
            elif failure.errno == errno.ENOENT:
                self._missing.add(key)
            raise NoData(f"{key[2]}: {failure.strerror}") from failure

    def _open_and_read(self, key: tuple[str, str, str], keep: bool) -> str:
        controller, part, name = key
        found = self.dirs.get(controller)
        if found is None:
            raise NoData(controller)
        path = f"{found.path}/{part}/{name}" if part else f"{found.path}/{name}"
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        kept = False
        try:
            text = _read_all(handle)
            kept = keep and self._budget.left > 0
        finally:
            if not kept:
                os.close(handle)
        if kept:
            self._budget.left -= 1
            self._files[key] = handle
        return text

    def _unchanged(self, controller: str, tree: _Tree, quick: bool) -> bool:
        # cgroup directories count their children as links; file systems that do not (1) are walked
        # anew.
        root = self.dirs[controller].path
        for part, links in tree.links.items():
            try:
                # Each second for each job: Path.stat takes three times as long.
                now = os.stat(f"{root}/{part}" if part else root)  # noqa: PTH116
            except OSError:
                return False
            if links < 2 or now.st_nlink != links or now.st_ino != tree.parts[part]:
                return False
            if quick:
                return True
        return True

    def _walk(self, root: str, part: str, tree: _Tree, depth: int) -> None:
        path = f"{root}/{part}" if part else root
        try:
            status = Path(path).stat()
            tree.parts[part], tree.links[part] = status.st_ino, status.st_nlink
            if status.st_nlink == 2 or depth == _MAX_DEPTH:
                return
            with os.scandir(path) as entries:
                names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            return
        for name in sorted(names):
            self._walk(root, f"{part}/{name}" if part else name, tree, depth + 1)

    def _close_parts(self, controller: str, known: Mapping[str, int]) -> None:
        for key in [key for key in self._files if key[0] == controller and key[1] not in known]:
            self._drop(key)

    def _close(self, controller: str) -> None:
        for key in [key for key in self._files if key[0] == controller]:
            self._drop(key)
        self._missing = {key for key in self._missing if key[0] != controller}
        self._trees.pop(controller, None)

    def _drop(self, key: tuple[str, str, str]) -> None:
        handle = self._files.pop(key, None)
        if handle is not None:
            self._budget.left += 1
            os.close(handle)


def _read_all(handle: int) -> str:
    chunk = os.pread(handle, _READ_BYTES, 0)
    text = chunk
    while len(chunk) >= _PAGE_FILL_BYTES:
        chunk = os.pread(handle, _READ_BYTES, len(text))
        text += chunk
    return text.decode("utf-8", "replace")
