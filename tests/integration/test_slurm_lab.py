"""The lab leaves nothing behind: not when it cannot start, not when its run was killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.asking import wait_until
from tests.fix_slurm import PREFIX, skip_where_it_cannot_be, sweep
from tests.slurm_lab import lab as lab_module
from tests.slurm_lab.conf import config_texts
from tests.slurm_lab.lab import PLACE, SlurmLab

pytestmark = pytest.mark.root

# Not swept by another worker that begins.
OURS = f"{PREFIX}test-"


@pytest.fixture
def lab() -> Iterator[SlurmLab]:
    """A lab of its own, not started, in the folder of a run that has ended."""
    skip_where_it_cannot_be()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    folder = PLACE / f"{OURS}{ended.pid}-run"
    folder.mkdir()
    lab = SlurmLab(folder)
    yield lab
    lab.stop()


def traces(lab: SlurmLab) -> list[str]:
    """Folder, cgroups and processes of a lab that are there."""
    cgroups = Path("/sys/fs/cgroup").glob(f"*/slurm_{lab.nodes[0].rpartition('-')[0]}-*")
    processes = [
        path.parent
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if str(lab.folder).encode() in _content(path)
    ]
    return [str(path) for path in (*PLACE.glob(lab.folder.name), *cgroups, *processes)]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_failed_start_says_why(lab: SlurmLab, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> dict[str, str]:
        texts = config_texts(*arguments)  # type: ignore[arg-type]
        return texts | {"slurm.conf": texts["slurm.conf"] + "NoSuchSetting=1\n"}

    monkeypatch.setattr(lab_module, "config_texts", broken)
    with pytest.raises(RuntimeError, match="ended at once") as failed:
        lab.start()
    assert "--- slurmctld.log" in str(failed.value)
    assert "NoSuchSetting" in str(failed.value)
    assert traces(lab) == []


def test_what_a_killed_run_left_is_ended_by_the_next(lab: SlurmLab) -> None:
    lab.start()
    job = lab.submit("--mem=100", "--nodes=2", script="srun sleep 600")
    wait_until(lambda: len(list(Path("/sys/fs/cgroup/cpuacct").glob(f"slurm_*/*/job_{job}"))) > 0)
    assert len(traces(lab)) > 5
    sweep(OURS)
    assert traces(lab) == []
