"""What the agent may do here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nodeagent.doctor.finding import Finding, Status
from nodeagent.doctor.machine import examine_machine
from nodeagent.state import in_use
from tests.unit.nodeagent.conftest import Machine


def see(machine: Machine, state: Path, events: Path | None = None) -> dict[str, Finding]:
    found = examine_machine(machine.paths, state, events)
    return {finding.subject: finding for finding in found}


def test_a_state_folder_is_tried_and_left_as_it_was(machine: Machine, tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert see(machine, state)["state folder"].status is Status.OK
    assert [path.name for path in state.iterdir()] == ["lock"]
    with in_use(state):
        found = see(machine, state)["state folder"]
    assert found.status is Status.OK
    assert "an agent is at work" in found.detail
    (state / "refused").mkdir()
    (state / "refused" / "x.json").write_text("")
    assert see(machine, state)["state folder"].status is Status.WARNING


def test_a_state_folder_that_cannot_be_is_a_fault(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert see(machine, tmp_path / "file" / "state")["state folder"].status is Status.FAULT


def test_hooks_events_that_wait_long_are_a_warning(machine: Machine, tmp_path: Path) -> None:
    events = tmp_path / "events"
    assert see(machine, tmp_path, None)["hooks' events"].status is Status.ABSENT
    assert see(machine, tmp_path, events)["hooks' events"].status is Status.ABSENT
    events.mkdir()
    path = events / "1.job-started.json"
    path.write_text("{}")
    found = see(machine, tmp_path, events)["hooks' events"]
    assert (found.status, found.detail) == (Status.OK, f"{events}: 1 wait")
    os.utime(path, (0, 0))
    assert see(machine, tmp_path, events)["hooks' events"].status is Status.WARNING


def test_environments_that_can_be_read(machine: Machine, tmp_path: Path) -> None:
    machine.write("proc/7/environ", "SLURM_JOB_ID=5")
    if os.geteuid() == 0:
        os.chown(machine.root / "proc/7", 1001, 1001)
        assert see(machine, tmp_path)["process environment"].status is Status.OK
    (machine.root / "proc/7/environ").unlink()
    found = see(machine, tmp_path)["process environment"]
    assert (found.status is Status.WARNING) == (os.geteuid() != 0 or "not readable" in found.detail)


def test_a_kernel_without_news(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def old(_pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", old, raising=False)
    found = see(machine, tmp_path)["kernel's news"]
    assert found.status is Status.WARNING
    assert "by the look of each second: ends of processes (pidfd)" in found.detail
