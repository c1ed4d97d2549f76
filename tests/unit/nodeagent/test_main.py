"""The command: what it prints, and how it ends."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodeagent import __version__
from nodeagent.main import main
from nodeagent.state import in_use
from tests.unit.nodeagent.conftest import Machine


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


def roots(machine: Machine) -> list[str]:
    paths = machine.paths
    names = ("cgroup", "proc", "sys", "etc")
    return [f"--{name}-root={path}" for name, path in zip(names, paths)]


def test_once_print_shows_a_batch_and_keeps_nothing(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.replay("v2-batch-t0")
    state = tmp_path / "state"
    arguments = ["--once", "--print", "--interval=0.2", f"--state-dir={state}", *roots(machine)]
    assert main(arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["node"]["name"] == "n1"
    assert document["tables"]["job_sample"]["cpu_user_s"] == [0.0]
    assert not state.exists()


def test_once_without_a_service_keeps_the_batch_and_fails(machine: Machine, tmp_path: Path) -> None:
    machine.replay("v2-batch-t0")
    state = tmp_path / "state"
    arguments = ["--once", "--url=http://127.0.0.1:1", "--timeout=0.1", f"--state-dir={state}"]
    assert main([*arguments, *roots(machine)]) == 1
    assert b'"seq":1,' in (state / "state").read_bytes()


def test_bad_settings_stop_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--interval", "never"]) == 2
    assert capsys.readouterr().err.startswith("tsobs-agent: --interval: 'never'")


def test_a_folder_in_use_stops_the_start(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with in_use(tmp_path / "state"):
        assert main(["--once", f"--state-dir={tmp_path / 'state'}", *roots(machine)]) == 1
    assert "another agent works with" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_stops_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["--once", f"--state-dir={tmp_path / 'file' / 'state'}"]) == 1
    assert "cannot start" in capsys.readouterr().err


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"tsobs-agent {__version__}\n"
