"""The agent as one file, as it is shipped to nodes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipapp
from pathlib import Path

import pytest

from tests.integration.nodeagent.conftest import ROOT


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that `python -m zipapp nodeagent` makes, away from the source."""
    folder = tmp_path_factory.mktemp("zipapp")
    source = shutil.copytree(
        ROOT / "nodeagent", folder / "nodeagent", ignore=shutil.ignore_patterns("__pycache__")
    )
    target = folder / "tsobs-agent.pyz"
    zipapp.create_archive(source, target, "/usr/bin/env python3", compressed=True)
    shutil.rmtree(source)
    return target


def run(archive: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", "-W", "error", str(archive), *arguments]
    return subprocess.run(
        command, cwd=archive.parent, capture_output=True, text=True, timeout=60, check=False
    )


def test_one_file_is_the_whole_agent(archive: Path, tmp_path: Path) -> None:
    done = run(archive, "--once", "--print", "--interval=0.2", f"--state-dir={tmp_path}")
    assert done.stderr == ""
    assert done.returncode == 0
    assert "node_sample" in json.loads(done.stdout)["tables"]


@pytest.mark.parametrize(("arguments", "status"), [(["--version"], 0), (["--interval=no"], 2)])
def test_its_exit_status_is_the_agents(archive: Path, arguments: list[str], status: int) -> None:
    assert run(archive, *arguments).returncode == status


def test_an_agent_that_cannot_start_says_so(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run(archive, "--once", f"--state-dir={tmp_path / 'file' / 'state'}")
    assert done.returncode == 1
    assert "cannot start" in done.stderr
