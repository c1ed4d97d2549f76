"""Finds Slurm's job cgroups: v1 `slurm[_<node>]/uid_<u>/job_<id>`, v2
`<slice>/[<node>_]slurmstepd.scope/job_<id>`, from 26.05 on `…/s<SLUID>`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from nodeagent.job_dirs import CgroupDir
from nodeagent.paths import Paths

__all__ = ["FoundJob", "SlurmTrees", "is_sluid", "scope_node", "top_node"]

V1_CONTROLLERS = ("cpuacct", "cpu", "memory", "cpuset", "pids", "blkio", "freezer", "devices")

_SCOPE = re.compile(r"(?:(?P<node>.+)_)?slurmstepd\.scope\Z")
_TOP = re.compile(r"slurm(?:_(?P<node>.+))?\Z")
_JOB = re.compile(r"job_(\d+)\Z")
_UID = re.compile(r"uid_(\d+)\Z")
_SLUID = re.compile(r"s[0-9A-Z]{13}\Z")
# Slurm makes and removes a job's directories one controller after the other: after a change it
# takes
# some more looks to see all of it.
_LISTINGS_AFTER_CHANGE = 4
_LEADS = ("v2", "freezer", "cpuacct", "memory", "cpuset", "cpu", "pids", "blkio", "devices")
# system.slice/slurmstepd.scope is the rule; CgroupSlice= may put it into a slice of a slice.
_MAX_SLICE_DEPTH = 3


class FoundJob(NamedTuple):
    """One job's directories: key (its id, or its SLUID), id where the path tells it, uid likewise,
    controller → directory."""

    key: str
    job_id: str | None
    uid: int | None
    dirs: dict[str, CgroupDir]


class _Top(NamedTuple):
    """A directory below which Slurm puts jobs, and the controllers it stands for (`v2` for a
    scope)."""

    path: str
    node: str | None
    controllers: tuple[str, ...]


def scope_node(name: str) -> tuple[bool, str | None]:
    """Tell whether a v2 directory is slurmstepd's scope, and the node name in it if any."""
    match = _SCOPE.match(name)
    return match is not None, match["node"] if match else None


def top_node(name: str) -> tuple[bool, str | None]:
    """Tell whether a v1 directory is Slurm's, and the node name in it if any."""
    match = _TOP.match(name)
    return match is not None, match["node"] if match else None


def is_sluid(name: str) -> bool:
    """Tell whether a directory bears a SLUID (Slurm from 26.05 on) in place of the job's id."""
    return _SLUID.match(name) is not None


class SlurmTrees:
    """Slurm's directories on this machine: `refresh` looks for them, `jobs` lists the jobs in
    them."""

    def __init__(self, paths: Paths) -> None:
        self._root = str(paths.cgroup)
        self._tops: tuple[_Top, ...] = ()
        self._lead = ""
        self._led: frozenset[tuple[str, int]] = frozenset()
        self._listings_due = 0
        self._has_listed = False

    def refresh(self) -> None:
        """Look for Slurm's directories anew; they come with slurmd or with the first job."""
        self._tops = tuple(self._find_tops())

    def nodes(self) -> frozenset[str]:
        """Return the node names that are part of the directories' names."""
        return frozenset(top.node for top in self._tops if top.node is not None)

    def folders(self, wanted: Callable[[str | None], bool]) -> list[str]:
        """Return the folders in which a new job's directory appears: of the controller that shows
        it first."""
        lead = next((n for n in _LEADS if any(n in top.controllers for top in self._tops)), "")
        found = []
        for top in self._tops:
            if lead in top.controllers and wanted(top.node):
                found.append(top.path)
                if lead != "v2":
                    found += [entry.path for entry in _scan(top.path) if _UID.match(entry.name)]
        return found

    def scopes(self, wanted: Callable[[str | None], bool]) -> list[str]:
        """Return slurmstepd's scopes (v2)."""
        return [top.path for top in self._tops if top.controllers == ("v2",) and wanted(top.node)]

    def any(self, wanted: Callable[[str | None], bool]) -> bool:
        """Tell whether there is a directory of a node that is wanted."""
        return any(wanted(top.node) for top in self._tops)

    def may_have_changed(self, wanted: Callable[[str | None], bool]) -> bool:
        """Tell whether `jobs` may say something new: looks at one controller in place of all."""
        led: set[tuple[str, int]] = set()
        for top in self._tops:
            if self._lead in top.controllers and wanted(top.node):
                led.update((name, inode) for name, _, _, inode in _list(top))
        if led != self._led:
            self._listings_due = _LISTINGS_AFTER_CHANGE
        self._listings_due -= 1
        return self._listings_due >= 0 or not self._has_listed

    def jobs(self, wanted: Callable[[str | None], bool]) -> dict[str, FoundJob]:
        """Return key → the job's directories, of the nodes that are wanted."""
        self._has_listed = True
        found = self._all_jobs(wanted)
        self._lead = next(
            (name for name in _LEADS if any(name in j.dirs for j in found.values())), ""
        )
        self._led = frozenset(
            (job.key, job.dirs[self._lead].inode)
            for job in found.values()
            if self._lead in job.dirs
        )
        if len(self._led) < len(found) or not self._lead:
            self._listings_due = max(1, self._listings_due)
        return found

    def _all_jobs(self, wanted: Callable[[str | None], bool]) -> dict[str, FoundJob]:
        found: dict[str, FoundJob] = {}
        for top in self._tops:
            if not wanted(top.node):
                continue
            for key, uid, path, inode in _list(top):
                job = found.get(key)
                if job is None:
                    job_id = None if is_sluid(key) else key
                    job = found[key] = FoundJob(key, job_id, uid, {})
                for controller in top.controllers:
                    job.dirs[controller] = CgroupDir(path, inode)
        return found

    def _find_tops(self) -> Iterator[_Top]:
        names = {entry.name: entry for entry in _scan(self._root)}
        if "cgroup.controllers" in names:
            yield from _find_scopes(self._root, 0)
            return
        if "unified" in names:
            yield from _find_scopes(names["unified"].path, 0)
        for path, controllers in _v1_mounts(names):
            for entry in _scan(path):
                matches, node = top_node(entry.name)
                if matches:
                    yield _Top(entry.path, node, controllers)


def _list(top: _Top) -> Iterator[tuple[str, int | None, str, int]]:
    if top.controllers == ("v2",):
        yield from _list_jobs(top.path, None)
        return
    for entry in _scan(top.path):
        match = _UID.match(entry.name)
        if match:
            yield from _list_jobs(entry.path, int(match[1]))


def _list_jobs(path: str, uid: int | None) -> Iterator[tuple[str, int | None, str, int]]:
    for entry in _scan(path):
        match = _JOB.match(entry.name)
        if match:
            yield match[1], uid, entry.path, entry.inode()
        elif is_sluid(entry.name):
            yield entry.name, uid, entry.path, entry.inode()


def _v1_mounts(names: dict[str, os.DirEntry[str]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    # Controllers may be mounted together (`cpu,cpuacct`), often with links of the single names
    # beside.
    for name, entry in names.items():
        if not entry.is_symlink():
            controllers = tuple(part for part in name.split(",") if part in V1_CONTROLLERS)
            if controllers:
                yield entry.path, controllers


def _find_scopes(path: str, depth: int) -> Iterator[_Top]:
    for entry in _scan(path):
        matches, node = scope_node(entry.name)
        if matches:
            yield _Top(entry.path, node, ("v2",))
        elif entry.name.endswith(".slice") and depth < _MAX_SLICE_DEPTH:
            yield from _find_scopes(entry.path, depth + 1)


def _scan(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except OSError:
        return []
