"""The command: examine all, print it, and say with the exit status whether all is well."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator

from nodeagent import identity
from nodeagent.doctor.cgroups import SlurmView, examine_cgroups, view_slurm
from nodeagent.doctor.finding import Finding
from nodeagent.doctor.gpus import examine_gpus
from nodeagent.doctor.machine import examine_machine
from nodeagent.doctor.quantities import examine_jobs, examine_node
from nodeagent.doctor.report import as_json, as_text, is_well
from nodeagent.doctor.service import examine_service
from nodeagent.gpu.reader import GpuReader
from nodeagent.paths import Paths
from nodeagent.push import Client
from nodeagent.settings import Settings
from nodeagent.slurm_jobs import SlurmTrees

__all__ = ["run_doctor"]


def run_doctor(settings: Settings, client: Client, *, json: bool) -> int:
    """Print what is found; return 0 when nothing is broken, 1 otherwise."""
    findings = list(_examine(settings, client))
    if json:
        sys.stdout.write(as_json(findings) + "\n")
    else:
        is_terminal = sys.stdout.isatty()
        text = as_text(
            findings,
            width=min(120, shutil.get_terminal_size((100, 24)).columns),
            colour=is_terminal and "NO_COLOR" not in os.environ,
            unicode=(sys.stdout.encoding or "").lower().replace("-", "") == "utf8",
        )
        sys.stdout.write(text)
    return 0 if is_well(findings) else 1


def _examine(settings: Settings, client: Client) -> Iterator[Finding]:
    paths = Paths(settings.cgroup_root, settings.proc_root, settings.sys_root, settings.etc_root)
    view = view_slurm(paths)
    cluster = settings.cluster or identity.cluster_name(paths)
    yield from examine_cgroups(paths, view, _identity(settings, paths), cluster)
    yield from examine_jobs(view)
    yield from examine_node(paths)
    if "gpu" not in settings.disable:
        reader = GpuReader(paths, settings.nvml_library)
        yield from examine_gpus(paths, view, reader, settings.gpu_job_dirs)
    yield from examine_machine(paths, settings.state_dir, settings.event_dir)
    yield from examine_service(client, settings.url, sends_events=settings.event_dir is not None)
    _close(view)
    client.close()


def _identity(settings: Settings, paths: Paths) -> identity.Identity:
    trees = SlurmTrees(paths)
    trees.refresh()
    found = identity.node_identity(
        setting=settings.node_name,
        aliases=settings.node_alias,
        in_cgroups=trees.nodes(),
        learned=None,
        slurmd=identity.slurmd_name(paths),
    )
    # A name that was given is the only one that is spoken for.
    others = trees.nodes() if settings.node_name is None else frozenset()
    short = {found.name.partition(".")[0]}
    return found._replace(cgroup_names=(found.cgroup_names | others) - (short - {found.name}))


def _close(view: SlurmView) -> None:
    for _, dirs, _ in view.jobs.values():
        dirs.close()
