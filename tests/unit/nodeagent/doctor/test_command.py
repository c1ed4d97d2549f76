"""The command as a whole, over a recorded machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nodeagent.main import main
from tests.unit.nodeagent.conftest import Machine


def doctor(machine: Machine, tmp_path: Path, *more: str) -> int:
    names = ("cgroup", "proc", "sys", "etc")
    roots = [f"--{name}-root={path}" for name, path in zip(names, machine.paths)]
    common = ["--url=http://127.0.0.1:1", f"--state-dir={tmp_path / 'state'}", "--event-dir=none"]
    return main(["doctor", *common, *roots, *more])


def test_it_ends_with_1_while_the_service_is_away(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.replay("v2-sluid-twonode-t0")
    machine.write("etc/slurm/slurm.conf", "ClusterName=lab\n")
    assert doctor(machine, tmp_path, "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    faults = [each for each in document["findings"] if each["status"] == "fault"]
    assert [each["subject"] for each in faults] == ["reachable"]
    found = {each["subject"]: each["detail"] for each in document["findings"]}
    assert found["cluster"] == "lab"
    assert "n1, n2, each with a stream of its own" in found["node name"]


def test_text_is_for_people(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.replay("v2-batch-t0")
    assert doctor(machine, tmp_path, "--node-name=n1") == 1
    text = capsys.readouterr().out
    assert "jobs now" in text
    assert "each with a stream" not in text
    assert "1 broken" in text


def test_json_goes_with_doctor_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json"]) == 2
    assert "goes with doctor" in capsys.readouterr().err
