"""Which cgroups there are, where Slurm's are among them, and which jobs they hold now."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from nodeagent.doctor.finding import Finding, Status
from nodeagent.identity import Identity
from nodeagent.job_dirs import FileBudget, JobDirs
from nodeagent.kernel_text import parse_flat
from nodeagent.paths import Paths
from nodeagent.process_facts import learn
from nodeagent.slurm_jobs import FoundJob, SlurmTrees

__all__ = ["SlurmView", "examine_cgroups", "view_slurm"]

_SECTION = "cgroups"
_NAMED = 8


class SlurmView(NamedTuple):
    """The jobs found, each with its opened directories and id, and the version their files are of
    (`v1`, `v2`, or the host's where no job is)."""

    jobs: dict[str, tuple[FoundJob, JobDirs, str | None]]
    version: str | None
    folders: tuple[str, ...]


def view_slurm(paths: Paths) -> SlurmView:
    """Look at Slurm's cgroups once, whatever node name they bear."""
    trees = SlurmTrees(paths)
    trees.refresh()
    found = trees.jobs(lambda _: True)
    jobs = {}
    for key, job in found.items():
        dirs = JobDirs(paths, job.dirs, FileBudget(0))
        jobs[key] = (job, dirs, learn(dirs, key, job.job_id, job.uid).job_id)
    controllers = {name for job in found.values() for name in job.dirs}
    version = _host_version(paths)
    if controllers:
        version = "v1" if controllers - {"v2"} else "v2"
    return SlurmView(jobs, version, tuple(trees.folders(lambda _: True)))


def examine_cgroups(
    paths: Paths, view: SlurmView, identity: Identity, cluster: str | None
) -> Iterator[Finding]:
    """Yield what is found."""
    yield _version(paths)
    yield from _layouts(paths, view)
    yield from _jobs(view)
    yield Finding(_SECTION, "node name", Status.OK, _names(identity))
    text = cluster or "no slurm.conf names one: the service's setting counts (or --cluster)"
    yield Finding(_SECTION, "cluster", Status.OK if cluster else Status.ABSENT, text)


def _host_version(paths: Paths) -> str | None:
    if (paths.cgroup / "cgroup.controllers").exists():
        return "v2"
    return "v1" if _v1_controllers(paths) else None


def _v1_controllers(paths: Paths) -> list[str]:
    try:
        folders = [entry.name for entry in os.scandir(paths.cgroup) if entry.is_dir()]
    except OSError:
        return []
    known = ("cpuacct", "cpu", "memory", "cpuset", "pids", "blkio", "freezer", "devices")
    names = {part for name in folders for part in name.split(",")}
    return [name for name in known if name in names]


def _version(paths: Paths) -> Finding:
    version = _host_version(paths)
    if version == "v2":
        offered = _words(paths.cgroup / "cgroup.controllers")
        return Finding(_SECTION, "version", Status.OK, f"v2 at {paths.cgroup}: {' '.join(offered)}")
    if version == "v1":
        is_hybrid = (paths.cgroup / "unified").is_dir()
        kind = "v1, hybrid (v2 in unified)" if is_hybrid else "v1"
        controllers = " ".join(_v1_controllers(paths))
        return Finding(_SECTION, "version", Status.OK, f"{kind} at {paths.cgroup}: {controllers}")
    return Finding(
        _SECTION,
        "version",
        Status.FAULT,
        f"nothing mounted at {paths.cgroup}",
        "mount cgroups there, or say where they are with --cgroup-root",
    )


def _layouts(paths: Paths, view: SlurmView) -> Iterator[Finding]:
    if not view.folders:
        yield Finding(
            _SECTION,
            "Slurm",
            Status.WARNING,
            "no directory of Slurm's: slurmd is not running, no job came yet, or it uses none",
            "ProctrackType=proctrack/cgroup and TaskPlugin=task/cgroup,task/affinity in slurm.conf",
        )
    for folder in view.folders:
        name = folder.removeprefix(str(paths.cgroup)).lstrip("/")
        if "/uid_" in f"/{name}":
            continue
        enabled = _words(Path(folder, "cgroup.subtree_control"))
        text = f"{name}, controllers for jobs: {' '.join(enabled)}" if enabled else name
        others = sorted(
            path.name
            for path in Path(folder).iterdir()
            if path.is_dir() and path.name in ("system", "slurmd")
        )
        if others:
            text += f"; {' and '.join(others)} in it are no jobs"
        yield Finding(_SECTION, "Slurm", Status.OK, text)


def _jobs(view: SlurmView) -> Iterator[Finding]:
    ids, hidden, empty = [], [], []
    for key, (_, dirs, job_id) in sorted(view.jobs.items()):
        if _is_empty(dirs):
            empty.append(key)
        elif job_id is None:
            hidden.append(key)
        else:
            ids.append(job_id if job_id == key else f"{job_id} ({key})")
    text = f"{len(ids)}" + (f": {_list(ids)}" if ids else "")
    yield Finding(_SECTION, "jobs now", Status.OK, text)
    if empty:
        yield Finding(
            _SECTION,
            "left behind",
            Status.ABSENT,
            f"{_list(empty)}: empty, ended jobs' directories",
        )
    if hidden:
        yield Finding(
            _SECTION,
            "hidden jobs",
            Status.FAULT,
            f"{_list(hidden)}: which job that is cannot be read",
            "run the agent as root, or set CgroupJobIdPaths=yes in cgroup.conf (26.05.2 and later)",
        )


def _is_empty(dirs: JobDirs) -> bool:
    found = dirs.dirs.get("v2")
    if found is None:
        return False
    try:
        events = parse_flat(Path(found.path, "cgroup.events").read_text("ascii"))
    except OSError:
        return False
    return events.get("populated") == 0


def _names(identity: Identity) -> str:
    text = identity.name
    if identity.aliases:
        text += f" (also {', '.join(identity.aliases)})"
    others = sorted(identity.cgroup_names - {identity.name, *identity.aliases})
    return f"{text}; and {', '.join(others)}, each with a stream of its own" if others else text


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _words(path: Path) -> list[str]:
    try:
        return path.read_text("ascii").split()
    except OSError:
        return []
