"""What an ending is told with, from what real Slurms set and answered."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.integration.hooks.recordings import recorded
from tests.integration.hooks.running import Hooks

VERSIONS = ("24.11.5", "26.05.5")
# By recorded case: raw_state, final_state, state_reason, exit_code, signal, oom_killed.
ENDINGS = {
    "end-success": ("COMPLETED", "completed", None, 0, None, None),
    "end-exit3": ("FAILED", "failed", None, 3, None, None),
    "end-oom": ("OUT_OF_MEMORY", "failed", "out_of_memory", 0, None, True),
    "end-step-fails": ("COMPLETED", "completed", None, 0, None, None),
    "end-cancelled": ("CANCELLED", "cancelled", None, 0, 15, None),
    "end-timeout": ("TIMEOUT", "failed", "timeout", 0, 15, None),
    "end-requeue": ("REQUEUED", "cancelled", None, 0, None, None),
}


def iso(seconds: str | int) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ending(told: dict[str, Any]) -> tuple[Any, ...]:
    names = ("raw_state", "final_state", "state_reason", "exit_code", "signal", "oom_killed")
    return tuple(told.get(name) for name in names)


def compact(text: str) -> str:
    return json.dumps(json.loads(text), separators=(",", ":"))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", ENDINGS)
def test_a_recorded_ending_on_a_node(hooks: Hooks, version: str, case: str) -> None:
    given = recorded(version, case, "epilog_slurmd")
    assert given.as_json is not None
    for answer in (given.as_json, compact(given.as_json)):
        hooks.answer(answer, "not asked")
        told = hooks.told("epilog", given.environment)
        assert ending(told) == ENDINGS[case]
        assert told["start_time"] == iso(given.environment["SLURM_JOB_START_TIME"])
        assert told["end_time"] == iso(given.environment["SLURM_JOB_END_TIME"])
        assert (told["source"], told["cluster"]) == ("slurm-epilog", "lab")
        assert told["time_limit_s"] in (60, 300)
        assert told["derived_exit_code"] == (5 if case == "end-step-fails" else 0)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", ENDINGS)
def test_a_recorded_ending_on_the_controller(hooks: Hooks, version: str, case: str) -> None:
    given = recorded(version, case, "epilog_slurmctld")
    hooks.answer(given.as_json)
    told = hooks.told("epilog_slurmctld", given.environment, ASK_AGAIN="no")
    raw, final, reason, code, _, oom = ENDINGS[case]
    # Its signal may come later.
    assert ending(told)[:4] == (raw, final, reason, code)
    assert told.get("oom_killed") == oom
    assert told["name"] == case.removeprefix("end-")
    assert told["source"] == "controller"
    assert "account" not in told


@pytest.mark.parametrize("version", VERSIONS)
def test_a_requeued_run_is_named_by_its_own_start(hooks: Hooks, version: str) -> None:
    for run in (1, 2):
        prolog = recorded(version, "end-requeue", "prolog_slurmd", run)
        epilog = recorded(version, "end-requeue", "epilog_slurmd", run)
        assert epilog.environment["SLURM_JOB_RESTART_COUNT"] == "1"
        hooks.answer(epilog.as_json)
        started = hooks.told("prolog", prolog.environment)
        before_24_11 = {
            name: value
            for name, value in epilog.environment.items()
            if name not in ("SLURM_JOB_START_TIME", "SLURM_JOB_END_TIME", "SLURM_JOB_NODELIST")
        }
        assert list(hooks.state.iterdir())
        told = hooks.told("epilog", before_24_11)
        assert told["start_time"] == started["start_time"]
        assert told["restart_count"] == started["restart_count"] == run - 1
        assert told["raw_state"] == ("REQUEUED" if run == 1 else "COMPLETED")
        assert list(hooks.state.iterdir()) == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("end-timeout", ("TIMEOUT", "failed", "timeout", 0, 15, None)),
        ("end-oom", ("OUT_OF_MEMORY", "failed", "out_of_memory", 0, None, True)),
        ("end-exit3", ("FAILED", "failed", None, 3, None, None)),
        ("end-cancelled", (None, "cancelled", None, 0, 15, None)),
        ("end-success", (None, "completed", None, 0, None, None)),
    ],
)
def test_without_json_the_reason_tells(
    hooks: Hooks, version: str, case: str, expected: tuple[Any, ...]
) -> None:
    given = recorded(version, case, "epilog_slurmd")
    assert given.as_text is not None
    assert "JobState=COMPLETING" in given.as_text
    hooks.answer(None, given.as_text)
    assert ending(hooks.told("epilog", given.environment)) == expected


@pytest.mark.parametrize(
    ("case", "node", "controller"),
    [
        ("end-success", None, None),
        ("end-exit3", "FAILED", "FAILED"),
        ("end-segv", None, None),
        # Looks like a success until it is over.
        ("end-cancelled", None, None),
        ("end-timeout", "TIMEOUT", "TIMEOUT"),
        ("end-requeue", "REQUEUED", "REQUEUED"),
        ("array", None, None),
    ],
)
def test_22_05_has_only_text(
    hooks: Hooks, case: str, node: str | None, controller: str | None
) -> None:
    prolog = recorded("22.05.8", case, "prolog_slurmd").environment
    started = hooks.told("prolog", prolog)
    for hook, raw in (("epilog_slurmctld", controller), ("epilog_slurmd", node)):
        given = recorded("22.05.8", case, hook)
        assert given.as_text is not None
        # A requeued run is told by an end to come.
        hooks.answer(None, given.as_text.replace("EndTime=2026-11-21T16", "EndTime=2099-11-21T16"))
        told = hooks.told(hook.removesuffix("_slurmd"), given.environment, ASK_AGAIN="no")
        assert told.get("raw_state") == raw
        if hook == "epilog_slurmd":
            assert told["start_time"] == started["start_time"]
            assert told["restart_count"] == 0
        if raw == "REQUEUED":
            assert "end_time" not in told
        else:
            assert f" EndTime={told['end_time'][:-1]} " in given.as_text


def test_22_05s_array_answers_for_all_its_tasks(hooks: Hooks) -> None:
    given = recorded("22.05.8", "array", "epilog_slurmd")
    assert given.as_text is not None
    assert given.as_text.count("JobState=") == 2
    hooks.answer(None, given.as_text.replace("JobState=COMPLETING", "JobState=TIMEOUT", 1))
    told = hooks.told("epilog", given.environment)
    assert (told["raw_state"], told["array_job_id"], told["array_task_id"]) == (
        "TIMEOUT",
        "13",
        "2",
    )
    assert (told["end_time"], told["time_limit_s"]) == ("2026-11-21T15:44:03Z", 3600)


def test_a_node_sees_by_itself_that_its_run_was_requeued(hooks: Hooks) -> None:
    given = recorded("22.05.8", "end-requeue", "epilog_slurmd").environment
    assert given["SLURM_JOB_RESTART_COUNT"] == "1"
    started = hooks.told("prolog", recorded("22.05.8", "end-requeue", "prolog_slurmd").environment)
    told = hooks.told("epilog", given)
    assert (told["raw_state"], told["final_state"]) == ("REQUEUED", "cancelled")
    assert (told["start_time"], told["restart_count"]) == (started["start_time"], 0)


def test_a_requeued_job_without_a_time_limit(hooks: Hooks) -> None:
    given = recorded("22.05.8", "end-requeue", "epilog_slurmctld")
    assert given.as_text is not None
    hooks.answer(None, re.sub(r" EndTime=\S+ ", " EndTime=Unknown ", given.as_text))
    told = hooks.told("epilog_slurmctld", given.environment)
    assert (told["raw_state"], told.get("end_time")) == ("REQUEUED", None)


def test_json_without_the_state_below_completing(hooks: Hooks) -> None:
    given = recorded("24.11.5", "end-timeout", "epilog_slurmd")
    short = {"job_id": 1, "job_state": "COMPLETING", "exit_code": 15, "state_reason": "TimeLimit"}
    hooks.answer(json.dumps({"jobs": [short]}), given.as_text)
    told = hooks.told("epilog", given.environment)
    assert ending(told) == ("TIMEOUT", "failed", "timeout", 0, 15, None)


def test_nobody_to_ask(hooks: Hooks) -> None:
    given = recorded("26.05.5", "end-cancelled", "epilog_slurmd").environment
    told = hooks.told("epilog", given)
    assert ending(told) == (None, "completed", None, 0, None, None)
    assert "did not say how it ended" in hooks.logged()
    asked = len(hooks.asked())
    assert asked == 2
    hooks.told("epilog", given, SCONTROL="no")
    assert len(hooks.asked()) == asked


@pytest.mark.parametrize(
    ("status", "pair", "derived", "expected"),
    [
        ("768", "", "0", (None, "failed", None, 3, None, None)),
        ("768", "3:0", "0", (None, "failed", None, 3, None, None)),
        ("139", "", "0", (None, "failed", None, 0, 11, None)),
        ("11", "0:11", "0", (None, "failed", None, 0, 11, None)),
        ("9", "", "0", (None, "cancelled", None, 0, 9, None)),
        ("15", "0:15", "0", (None, "cancelled", None, 0, 15, None)),
        ("253", "0:125", "0", (None, "completed", None, 0, None, True)),
        ("0", "0:0", "253", (None, "completed", None, 0, None, True)),
        ("0", "0:0", "1280", (None, "completed", None, 0, None, None)),
        ("", "", "", (None, "completed", None, None, None, None)),
        ("x", "y", "z", (None, "completed", None, None, None, None)),
    ],
)
def test_the_exit_is_a_wait_status(
    hooks: Hooks,
    job: dict[str, str],
    status: str,
    pair: str,
    derived: str,
    expected: tuple[Any, ...],
) -> None:
    given = {
        "SLURM_JOB_EXIT_CODE": status,
        "SLURM_JOB_EXIT_CODE2": pair,
        "SLURM_JOB_DERIVED_EC": derived,
    }
    assert ending(hooks.told("epilog", job | given)) == expected


def test_the_last_task_of_an_array_is_found_among_all(hooks: Hooks, job: dict[str, str]) -> None:
    def one(job_id: int, state: str, name: str) -> dict[str, Any]:
        return {
            "array_job_id": {"set": True, "infinite": False, "number": 77},
            "array_task_id": {"set": True, "infinite": False, "number": job_id % 10},
            "end_time": {"set": True, "infinite": False, "number": 1795250000 + job_id},
            "job_id": job_id,
            "job_resources": {"nodes": {"allocation": [{"name": "n1", "job_id": 77}]}},
            "job_state": [state, "COMPLETING"],
            "name": name,
            "step_id": {"job_id": {"number": 77}},
        }

    evil = '"}],"jobs":[{"job_id":77,"job_state":["COMPLETED"]}]\\'
    jobs = [one(75, "COMPLETED", evil), one(77, "TIMEOUT", evil), one(76, "FAILED", evil)]
    for indent in (None, 1):
        hooks.answer(json.dumps({"meta": {"x": [{"job_id": 77}]}, "jobs": jobs}, indent=indent))
        told = hooks.told("epilog", job)
        assert told["raw_state"] == "TIMEOUT"
        assert (told["array_job_id"], told["array_task_id"]) == ("77", "7")
        assert told["end_time"] == iso(1795250077)
        assert told["name"] == evil


def test_a_job_name_cannot_speak_for_the_controller(hooks: Hooks, job: dict[str, str]) -> None:
    false = "   JobState=COMPLETED Reason=None Dependency=(null)\n"
    true = "   JobState=COMPLETING Reason=TimeLimit Dependency=(null)\n"
    for name in ("x", "x\nJobId=77 JobName=y", "x\nJobId=78 JobName=y"):
        hooks.answer(None, f"JobId=77 JobName={name}\n{false}{true}")
        told = hooks.told("epilog", job)
        assert "raw_state" not in told


@pytest.mark.parametrize(
    "answer",
    ["", "{", '{"jobs":[', '{"jobs":[]}', '{"jobs":[{"job_id":77,"job_state":["FAI', "null", '"'],
)
def test_half_an_answer_is_none(hooks: Hooks, job: dict[str, str], answer: str) -> None:
    hooks.answer(answer)
    assert "raw_state" not in hooks.told("epilog", job)


def test_only_two_nodes_ask_and_tell(hooks: Hooks, job: dict[str, str]) -> None:
    big = job | {"SLURM_NODELIST": "n[1-1000]"}
    assert hooks.told("epilog", big)["node"] == "n1"
    assert hooks.told("epilog", big | {"SLURMD_NODENAME": "n2"})["node"] == "n2"
    asked = len(hooks.asked())
    for name in ("n3", "n40", "n999"):
        assert hooks.run("epilog", big | {"SLURMD_NODENAME": name}).status == 0
    assert len(hooks.waiting()) == 2
    assert len(hooks.asked()) == asked


def test_a_controller_that_does_not_answer_tells_no_end(hooks: Hooks, job: dict[str, str]) -> None:
    """The hook's own time is later than the end, and must not outweigh who knows it."""
    told = hooks.told("epilog_slurmctld", job | {"SLURM_JOB_EXIT_CODE2": "3:0"}, ASK_AGAIN="no")
    assert (told["source"], told["exit_code"]) == ("slurm-epilog-slurmctld", 3)
    assert {"end_time", "raw_state"}.isdisjoint(told)


def test_the_controller_is_asked_again_in_the_background(hooks: Hooks, job: dict[str, str]) -> None:
    """First only COMPLETING, seconds later the end; the hook itself does not wait for it."""
    completing = "JobId=77 JobName=x\n   JobState=COMPLETING Reason=None Dependency=(null)\n"
    times = "   StartTime=2026-11-21T10:00:00 EndTime=2026-11-21T10:07:00 Deadline=N/A\n"
    exited = "   Requeue=1 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=0:15\n"
    hooks.answer(None, completing + times)
    ran = hooks.run(
        "epilog_slurmctld", job | {"SLURM_JOB_EXIT_CODE2": "0:0"}, ASK_AGAIN="3 2 2 2 2"
    )
    assert ran.took_s < 3
    (first,) = hooks.waiting()
    assert "raw_state" not in json.loads(first.read_bytes())
    hooks.answer(None, completing.replace("COMPLETING", "CANCELLED") + exited + times)
    deadline = time.monotonic() + 20
    while len(hooks.waiting()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    told = json.loads(hooks.waiting()[1].read_bytes())
    assert ending(told) == ("CANCELLED", "cancelled", None, 0, 15, None)
    assert (told["start_time"], told["source"]) == ("2026-11-21T10:00:00Z", "controller")
    assert told["end_time"] == "2026-11-21T10:07:00Z"
    while list(hooks.spool.glob(".later.*")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(0.3)
    assert len(hooks.waiting()) == 2
