"""Finds Slurm's job cgroups: v1 `slurm[_<node>]/uid_<u>/job_<id>`, v2
`<slice>/[<node>_]slurmstepd.scope/job_<id>`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from nodeagent.job_dirs import CgroupDir
from nodeagent.paths import Paths

__all__ = ["FoundJob", "SlurmTrees", "is_sluid", "scope_node", "top_node"]

V1_CONTROLLERS = ("cpuacct", "cpu", "memory", "cpuset", "pids", "blkio", "freezer")

_SCOPE = re.compile(r"(?:(?P<node>.+)_)?slurmstepd\.scope\Z")
_TOP = re.compile(r"slurm(?:_(?P<node>.+))?\Z")
_JOB = re.compile(r"job_(\d+)\Z")
_UID = re.compile(r"uid_(\d+)\Z")
_SLUID = re.compile(r"s[0-9A-Z]{13}\Z")
# Slurm makes and removes a job's directories one controller after the other: after a change it
# takes
# some more looks to see all of it.
_LISTINGS_AFTER_CHANGE = 4
_LEADS = ("v2", "freezer", "cpuacct", "memory", "cpuset", "cpu", "pids", "blkio")
# system.slice/slurmstepd.scope is the rule; CgroupSlice= may put it into a slice of a slice.
_MAX_SLICE_DEPTH = 3


class FoundJob(NamedTuple):
    """One job's directories: scheduler id, uid where the path tells it, controller → directory."""

    job_id: str
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
        self.sluids = 0
        """Jobs seen at the last look whose id is hidden behind a SLUID: not reported yet."""

    def refresh(self) -> None:
        """Look for Slurm's directories anew; they come with slurmd or with the first job."""
        self._tops = tuple(self._find_tops())

    def nodes(self) -> frozenset[str]:
        """Return the node names that are part of the directories' names."""
        return frozenset(top.node for top in self._tops if top.node is not None)

    def any(self, wanted: Callable[[str | None], bool]) -> bool:
        """Tell whether there is a directory of a node that is wanted."""
        return any(wanted(top.node) for top in self._tops)

    def may_have_changed(self, wanted: Callable[[str | None], bool]) -> bool:
        """Tell whether `jobs` may say something new: looks at one controller in place of all."""
        led: set[tuple[str, int]] = set()
        for top in self._tops:
            if self._lead in top.controllers and wanted(top.node):
                led.update((job_id, inode) for job_id, _, _, inode in self._list(top))
        if led != self._led:
            self._listings_due = _LISTINGS_AFTER_CHANGE
        self._listings_due -= 1
        return self._listings_due >= 0

    def jobs(self, wanted: Callable[[str | None], bool]) -> dict[str, FoundJob]:
        """Return job id → the job's directories, of the nodes that are wanted."""
        found = self._all_jobs(wanted)
        self._lead = next(
            (name for name in _LEADS if any(name in j.dirs for j in found.values())), ""
        )
        self._led = frozenset(
            (job.job_id, job.dirs[self._lead].inode)
            for job in found.values()
            if self._lead in job.dirs
        )
        if len(self._led) < len(found) or not self._lead:
            self._listings_due = max(1, self._listings_due)
        return found

    def _all_jobs(self, wanted: Callable[[str | None], bool]) -> dict[str, FoundJob]:
        found: dict[str, FoundJob] = {}
        self.sluids = 0
        for top in self._tops:
            if not wanted(top.node):
                continue
            for job_id, uid, path, inode in self._list(top):
                job = found.get(job_id)
                if job is None:
                    job = found[job_id] = FoundJob(job_id, uid, {})
                for controller in top.controllers:
                    job.dirs[controller] = CgroupDir(path, inode)
        return found

    def _list(self, top: _Top) -> Iterator[tuple[str, int | None, str, int]]:
        if top.controllers == ("v2",):
            yield from self._list_jobs(top.path, None)
            return
        for entry in _scan(top.path):
            match = _UID.match(entry.name)
            if match:
                yield from self._list_jobs(entry.path, int(match[1]))

    def _list_jobs(self, path: str, uid: int | None) -> Iterator[tuple[str, int | None, str, int]]:
        for entry in _scan(path):
            match = _JOB.match(entry.name)
            if match:
                yield match[1], uid, entry.path, entry.inode()
            elif is_sluid(entry.name):
                self.sluids += 1

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
