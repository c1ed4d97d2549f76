"""A real Slurm of two nodes on this machine, one for a whole run of tests.

`slurm_lab`  the running lab (`tests.slurm_lab.lab.SlurmLab`): submit, show, run

Needs root, the programs of Debian's slurmctld, slurmd, slurm-client and munge, and cgroup v1
controllers. Whichever worker comes first starts it; it ends with the run.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.slurm_lab.conf import SEARCH_PATH
from tests.slurm_lab.lab import PLACE, PROGRAMS, SlurmLab
from tsobs.embedded.locks import exclusive
from tsobs.embedded.process import silent

__all__ = ["PREFIX", "skip_where_it_cannot_be", "slurm_lab", "sweep"]

FOLDER = pytest.StashKey[Path]()
PREFIX = "tsobs-slurm-"
_CGROUPS = Path("/sys/fs/cgroup")
_CONTROLLERS = ("cpuacct", "cpuset", "freezer", "memory")
# Another worker's whole bring-up.
_WAIT_S = 90.0


def pytest_configure(config: pytest.Config) -> None:
    """Settle the folder of this run's lab; its workers are told."""
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        config.stash[FOLDER] = Path(worker["tsobs_slurm_folder"])
        return
    config.stash[FOLDER] = PLACE / f"{PREFIX}{os.getpid()}-run"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker where the lab is."""
    node.workerinput["tsobs_slurm_folder"] = str(node.config.stash[FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the lab, when all workers are done."""
    folder = config.stash.get(FOLDER, None)
    if not hasattr(config, "workerinput") and folder is not None and folder.exists():
        SlurmLab(folder).stop()
    if folder is not None and not hasattr(config, "workerinput"):
        _lock(folder).unlink(missing_ok=True)


@pytest.fixture(scope="session")
def slurm_lab(request: pytest.FixtureRequest) -> SlurmLab:
    """The run's Slurm, started by the first who asks."""
    skip_where_it_cannot_be()
    folder = request.config.stash[FOLDER]
    lab = SlurmLab(folder)
    with exclusive(_lock(folder), doing="starting Slurm", progress=silent, wait_s=_WAIT_S):
        if not folder.exists():
            sweep()
            folder.mkdir()
            lab.start()
    return lab


def _lock(folder: Path) -> Path:
    return folder.with_suffix(".lock")


def skip_where_it_cannot_be() -> None:
    """Skips the test on a machine that cannot run the lab, and says what is missing."""
    missing = [program for program in PROGRAMS if shutil.which(program, path=SEARCH_PATH) is None]
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: install slurmctld slurmd slurm-client munge")
    if not all((_CGROUPS / name / "cgroup.procs").exists() for name in _CONTROLLERS):
        pytest.skip(f"needs the cgroup v1 controllers {', '.join(_CONTROLLERS)}")


def sweep(prefix: str = PREFIX) -> None:
    """End what a run left that was killed."""
    for folder in PLACE.glob(f"{prefix}*-run"):
        pid = folder.name.removeprefix(prefix).split("-")[0]
        ours = folder.is_dir() and folder.stat().st_uid == os.geteuid()
        if ours and pid.isdigit() and not Path("/proc", pid).exists():
            SlurmLab(folder).stop()
            _lock(folder).unlink(missing_ok=True)
