"""What the job completion script tells, from what a real slurmctld (22.05.8) gave it."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.integration.hooks.receiving import Receiver
from tests.integration.hooks.running import MOST_S, Hooks

RECORDED = Path(__file__).resolve().parents[2] / "fixtures" / "slurm-jobcomp" / "22.05.8.txt"
# By recorded case: raw_state, final_state, state_reason, exit_code, signal, oom_killed.
ENDINGS = {
    "ok": ("COMPLETED", "completed", None, 0, None, None),
    "two": ("COMPLETED", "completed", None, 0, None, None),
    "array": ("COMPLETED", "completed", None, 0, None, None),
    "het": ("COMPLETED", "completed", None, 0, None, None),
    "exit3": ("FAILED", "failed", None, 3, None, None),
    "segv": ("FAILED", "failed", None, 0, 11, None),
    "oom": ("OUT_OF_MEMORY", "failed", "out_of_memory", 0, None, True),
    "stepoom": ("COMPLETED", "completed", None, 0, None, True),
    "cancelled": ("CANCELLED", "cancelled", None, 0, None, None),
    "pending": ("CANCELLED", "cancelled", None, 0, None, None),
    "pending_array": ("CANCELLED", "cancelled", None, 0, None, None),
    "timeout": ("TIMEOUT", "failed", "timeout", 0, None, None),
    "node_fail": ("NODE_FAIL", "failed", "node_fail", 0, None, None),
    "requeued": ("REQUEUED", "cancelled", None, 0, None, None),
}
NEVER_STARTED = {"pending", "pending_array"}


def given(case: str) -> dict[str, str]:
    """The environment of a recorded case."""
    for block in RECORDED.read_text().split("== ")[1:]:
        name, *lines = block.splitlines()
        if name == case:
            return dict(line.split("=", 1) for line in lines)
    raise LookupError(case)


def iso(seconds: str) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("case", ENDINGS)
def test_a_recorded_ending(hooks: Hooks, case: str) -> None:
    environment = given(case)
    told = hooks.told("jobcomp", environment)
    names = ("raw_state", "final_state", "state_reason", "exit_code", "signal", "oom_killed")
    assert tuple(told.get(name) for name in names) == ENDINGS[case]
    assert told["source"] == "controller"
    assert told["job_id"] == environment["JOBID"]
    assert (told["user"], told["partition"]) == ("daemon", "debug")
    assert told["name"] == environment["JOBNAME"]
    assert told["submit_time"] == iso(environment["SUBMIT"])
    assert told["end_time"] == iso(environment["END"])
    assert told["time_limit_s"] in (60, 120, 3600)
    # Which run it was is told by its start.
    assert {"restart_count", "account", "qos"}.isdisjoint(told)
    assert hooks.asked() == []


@pytest.mark.parametrize("case", ENDINGS)
def test_a_job_that_had_no_node_never_started(hooks: Hooks, case: str) -> None:
    told = hooks.told("jobcomp", given(case))
    assert ("start_time" not in told) == (case in NEVER_STARTED)
    assert ("node_list" not in told) == (case in NEVER_STARTED)
    if case == "two":
        assert told["node_list"] == ["n1", "n2"]
        assert told["start_time"] == iso(given(case)["START"])


def test_arrays_and_heterogeneous_jobs(hooks: Hooks) -> None:
    told = hooks.told("jobcomp", given("array"))
    assert (told["job_id"], told["array_job_id"], told["array_task_id"]) == ("20", "7", "0")
    told = hooks.told("jobcomp", given("het"))
    assert (told["job_id"], told["het_job_id"], told["het_offset"]) == ("12", "11", 1)
    for case in ("ok", "pending_array"):
        told = hooks.told("jobcomp", given(case))
        assert {"array_job_id", "array_task_id", "het_job_id", "het_offset"}.isdisjoint(told)


def test_the_cluster_is_the_one_that_the_hooks_are_told(hooks: Hooks, tmp_path: Path) -> None:
    conf = tmp_path / "slurm.conf"
    conf.write_text("# ClusterName=old\n clustername = Lab # ours\nSlurmctldHost=h")
    job = given("ok") | {"SLURM_CONF": str(conf)}
    assert hooks.told("jobcomp", job)["cluster"] == "lab"
    assert hooks.told("jobcomp", job | {"CLUSTER": "known"})["cluster"] == "known"
    assert hooks.told("jobcomp", job, CLUSTER="set")["cluster"] == "set"
    conf.unlink()
    assert "cluster" not in hooks.told("jobcomp", job)


def test_the_highest_exit_code_of_all_steps(hooks: Hooks) -> None:
    told = hooks.told("jobcomp", given("ok") | {"DERIVED_EC": "5:0"})
    assert (told["exit_code"], told["derived_exit_code"]) == (0, 5)
    assert "derived_exit_code" not in hooks.told("jobcomp", given("stepoom"))


@pytest.mark.parametrize("limit", ["UNLIMITED", "Partition_Limit", "", "1:2"])
def test_a_limit_that_is_none_is_not_told(hooks: Hooks, limit: str) -> None:
    assert "time_limit_s" not in hooks.told("jobcomp", given("ok") | {"LIMIT": limit})


def test_a_limit_of_days(hooks: Hooks) -> None:
    told = hooks.told("jobcomp", given("ok") | {"LIMIT": "10-08:09:00"})
    assert told["time_limit_s"] == 10 * 86400 + 8 * 3600 + 9 * 60


@pytest.mark.parametrize("state", ["RESIZING", "RUNNING", "", "NEWER_THAN_US"])
def test_what_is_no_ending_is_not_told(hooks: Hooks, state: str) -> None:
    ran = hooks.run("jobcomp", given("ok") | {"JOBSTATE": state})
    assert (ran.status, hooks.waiting()) == (0, [])
    assert "is no ending" in hooks.logged()


def test_any_string_a_user_can_choose(hooks: Hooks) -> None:
    name = b'a"b\\c\nd\x01e\xff\xc3\xa9`$(id)'
    told = hooks.told("jobcomp", {**given("ok"), "JOBNAME": name, "ACCOUNT": "o'neill"})
    assert told["name"] == 'a"b\\c\nd\x01e\ufffd\u00e9`$(id)'
    assert told["account"] == "o'neill"


def test_nothing_in_the_environment(hooks: Hooks) -> None:
    ran = hooks.run("jobcomp", {})
    assert (ran.status, hooks.waiting()) == (0, [])
    assert ran.took_s < MOST_S


def test_nothing_can_be_written(hooks: Hooks) -> None:
    ran = hooks.run("jobcomp", given("ok"), SPOOL="/proc/spool", LOG="/proc/log")
    assert ran.status == 0
    assert ran.took_s < MOST_S
    assert "LOST" in ran.printed


def test_a_service_that_hangs_is_waited_for_once(hooks: Hooks, receiver: Receiver) -> None:
    """slurmctld runs the script for one job after the other."""
    receiver.delay_s = 3.5
    first = hooks.run("jobcomp", given("ok"), URL=receiver.url)
    assert 1 < first.took_s < MOST_S
    for case in ("exit3", "segv", "timeout"):
        ran = hooks.run("jobcomp", given(case), URL=receiver.url)
        assert ran.status == 0
        assert ran.took_s < 1
    assert len(receiver.events) == 1
    assert len(hooks.waiting()) == 4
    # Half a minute later it is tried again, and takes with it what waits.
    receiver.delay_s = 0
    (mark,) = hooks.spool.glob(".away")
    os.utime(mark, (time.time() - 31, time.time() - 31))
    assert hooks.run("jobcomp", given("oom"), URL=receiver.url).status == 0
    assert hooks.waiting() == []
    ids = [event["job_id"] for _, event in receiver.events[1:]]
    assert ids[0] == given("oom")["JOBID"]
    assert sorted(ids[1:]) == sorted(given(c)["JOBID"] for c in ("ok", "exit3", "segv", "timeout"))
    assert not list(hooks.spool.glob(".away"))


def test_an_answer_is_an_answer(hooks: Hooks, receiver: Receiver) -> None:
    """A refusal is kept aside, and the service is not away."""
    receiver.answer = (400, '{"error":"validation_error","message":"no","details":{}}')
    for case in ("ok", "exit3"):
        assert hooks.run("jobcomp", given(case), URL=receiver.url).status == 0
    assert len(receiver.events) == 2
    assert hooks.waiting() == []
