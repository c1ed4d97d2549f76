"""A real Slurm's jobs of every ending, through its hooks, agents at their default interval, the
service and its API: what tsobs tells is what Slurm knows and what the job burned."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.fix_db import TestServer
from tests.slurm_lab.lab import SlurmLab
from tests.slurm_lab.scenario import UNTOLD, Record, play
from tsobs.embedded.locks import exclusive
from tsobs.embedded.process import silent

pytestmark = [pytest.mark.root, pytest.mark.timeout(400)]

# The play may be on in the other worker.
PLAY_WAIT_S = 360.0
# Slurm's times are whole seconds, and a job's end is told when its last process is gone.
TIMES_WITHIN_S = 3.0

OK = {"state": "completed", "exit_code": 0}
MEMORY = {"state": "failed", "state_reason": "out_of_memory", "exit_code": 0, "oom_killed": True}
ENDINGS: dict[str, dict[str, object]] = {
    "success": OK,
    "short": OK,
    "two_nodes": OK,
    "array_1": OK,
    "array_2": OK,
    "requeued": OK,
    "exit3": {"state": "failed", "state_reason": "exit_code", "exit_code": 3},
    "segv": {"state": "failed", "state_reason": "signal", "exit_code": 0, "signal": 11},
    "memory": MEMORY,
    "child_memory": MEMORY,
    "step_memory": {"state": "completed", "exit_code": 0, "oom_killed": True},
    "cancelled": {"state": "cancelled"},
    "pending": {"state": "cancelled"},
    "timeout": {"state": "failed", "state_reason": "timeout"},
}
SLURM_STATES = {
    "exit3": "FAILED",
    "segv": "FAILED",
    "memory": "OUT_OF_MEMORY",
    "child_memory": "OUT_OF_MEMORY",
    "cancelled": "CANCELLED",
    "pending": "CANCELLED",
    "timeout": "TIMEOUT",
}
# Slurm's own number for an OOM kill, which is no signal.
SLURM_OOM = 125
STARTED = sorted(ENDINGS.keys() - {"pending"})


@pytest.fixture(scope="session")
def records(slurm_lab: SlurmLab, server: TestServer, template: str) -> dict[str, Record]:
    """Played once a run, by the first worker that asks."""
    kept = slurm_lab.folder / "records.json"
    with playing(slurm_lab):
        if not kept.exists():
            database = server.create(template)
            try:
                kept.write_text(json.dumps(play(slurm_lab, server.url(database))))
            finally:
                server.drop(database)
    found: dict[str, Record] = json.loads(kept.read_text())
    return found


def playing(lab: SlurmLab) -> AbstractContextManager[None]:
    """Alone with the lab: its hooks speak to one service at a time."""
    lock = lab.folder / "playing.lock"
    return exclusive(lock, doing="running jobs", progress=silent, wait_s=PLAY_WAIT_S)


@pytest.mark.parametrize("name", sorted(ENDINGS))
def test_the_ending(records: dict[str, Record], name: str) -> None:
    """State, reason, exit code, signal and OOM kill; Slurm itself must have ended it so."""
    check_ending(records[name], name)


def check_ending(record: Record, name: str) -> None:
    assert record["slurm"]["JobState"] == SLURM_STATES.get(name, "COMPLETED")
    expected = {"state_reason": None, "signal": None, "oom_killed": None, **ENDINGS[name]}
    told = {key: record["told"].get(key) for key in expected}
    code, signal = map(int, record["slurm"]["ExitCode"].split(":"))
    if signal and signal != SLURM_OOM and expected["signal"] is None:
        # That it was Slurm which ended the job, and with what, is known only later.
        assert told.pop("signal") in (None, 0, signal)
        del expected["signal"]
    assert {key: value or None for key, value in told.items()} == {
        key: value or None for key, value in expected.items()
    }
    assert record["told"]["exit_code"] == code


@pytest.mark.parametrize("name", STARTED)
def test_where_when_and_whose(records: dict[str, Record], name: str) -> None:
    """User, name, partition, nodes; start and end to a few seconds."""
    slurm, told = records[name]["slurm"], records[name]["told"]
    assert told["user"] == SlurmLab.user
    assert told["partition"] == slurm["Partition"]
    assert told["nodes"] == records[name]["nodes"]
    assert told["restart_count"] == int(slurm["Restarts"])
    if name == "success":
        assert told["name"] == 'it\'s "quoted" β\\n'
    assert _seconds(told["start_time"]) == pytest.approx(
        _slurm_seconds(slurm["StartTime"]), abs=TIMES_WITHIN_S
    )
    assert _seconds(told["end_time"]) == pytest.approx(
        _slurm_seconds(slurm["EndTime"]), abs=TIMES_WITHIN_S
    )


@pytest.mark.parametrize("name", STARTED)
def test_cpu(records: dict[str, Record], name: str) -> None:
    """To 5 % of what the job says that it burned, mostly to its very end, at the agent's default
    interval; `short` and others end within one."""
    for run, burned_s in zip(records[name]["runs"], records[name]["burned_s"], strict=True):
        assert burned_s >= 4
        assert run["cpu_seconds"] == pytest.approx(burned_s, rel=0.05)


@pytest.mark.parametrize("name", [name for name in STARTED if name.endswith("memory")])
def test_an_oom_kill_is_counted_where_it_was(records: dict[str, Record], name: str) -> None:
    """Also when the job is gone a moment later."""
    assert sum(node["oom_kills"] for node in records[name]["told"]["per_node"]) >= 1


def test_every_node_of_a_job(records: dict[str, Record]) -> None:
    """Each node's agent told its part, and when it was over."""
    record = records["two_nodes"]
    nodes = {node["node"]: node for node in record["told"]["per_node"]}
    assert sorted(nodes) == record["nodes"]
    assert len(nodes) == 2
    assert all(node["cpu_seconds"] > 3.8 and "gone_at" in node for node in nodes.values())


def test_array_tasks(records: dict[str, Record]) -> None:
    """Each is a job, and knows the array it is of."""
    for task in (1, 2):
        record = records[f"array_{task}"]
        assert record["told"]["array_job_id"] == record["slurm"]["ArrayJobId"]
        assert record["told"]["array_task_id"] == str(task)


def test_a_requeued_job_has_two_runs(records: dict[str, Record]) -> None:
    """The first is over and keeps its own times and use; the second is the job's answer."""
    record = records["requeued"]
    first, second = record["runs"]
    assert second == record["told"]
    assert (first["restart_count"], second["restart_count"]) == (0, 1)
    assert (first["state"], first["state_reason"]) == ("cancelled", "requeued")
    started = _slurm_seconds(record["before"]["StartTime"])
    assert _seconds(first["start_time"]) == pytest.approx(started, abs=TIMES_WITHIN_S)
    assert _seconds(first["end_time"]) < _seconds(second["start_time"])


def test_a_job_cancelled_while_pending(records: dict[str, Record]) -> None:
    """No hook runs for it; it never started, ran nowhere and used nothing."""
    told = records["pending"]["told"]
    assert told["user"] == SlurmLab.user
    assert {"start_time", "cpu_seconds"}.isdisjoint(told)
    assert told["nodes"] == []
    ended = _slurm_seconds(records["pending"]["slurm"]["EndTime"])
    assert _seconds(told["end_time"]) == pytest.approx(ended, abs=TIMES_WITHIN_S)
    submitted = _slurm_seconds(records["pending"]["slurm"]["SubmitTime"])
    assert _seconds(told["submit_time"]) == submitted


@pytest.mark.long
@pytest.mark.parametrize("missing", ["JobCompLoc", "EpilogSlurmctld"])
def test_endings_are_told_without_one_of_the_controllers_hooks(
    slurm_lab: SlurmLab, database_url: str, missing: str
) -> None:
    """EpilogSlurmctld asks again some seconds later, where the completion script knows at once."""
    with playing(slurm_lab):
        found = play(slurm_lab, database_url, without=missing, settle_s=30.0)
    for name in sorted(ENDINGS.keys() - set(UNTOLD.get(missing, ()))):
        check_ending(found[name], name)


def _seconds(value: Any) -> float:
    return datetime.fromisoformat(value).timestamp()


def _slurm_seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
