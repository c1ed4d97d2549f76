from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.lifecycle import read_finished, read_started
from tests.batches import json_values, places, replaced
from tests.unit.ingest.attempts import attempt
from tsobs.errors import CallerError, ValidationError

AT = "2026-01-02T03:04:05Z"
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

STARTED: dict[str, Any] = {
    "job_id": "123",
    "user": "alice",
    "node_list": ["n2", "n1"],
    "timestamp": AT,
    "cpu_allocation": 8,
    "memory_allocation_mb": 1024,
    "gpu_allocation": 2,
    "gpu_vendor": "nvidia",
    "gpu_devices": ["GPU-1", "GPU-0"],
    "cgroup_path": "/sys/fs/cgroup/…/job_123",
    "partition": "batch",
    "account": "physics",
}
FINISHED: dict[str, Any] = {
    "job_id": "123",
    "final_state": "failed",
    "timestamp": AT,
    "exit_code": 1,
    "signal": 0,
}


def test_what_a_prolog_tells() -> None:
    told = read_started(STARTED)
    assert told.facts == {
        "user_name": "alice",
        "nodes": ["n1", "n2"],
        "start_at": MOMENT,
        "state": "running",
        "requested_cpus": 8.0,
        "allocated_cpus": 8.0,
        "requested_memory_bytes": 1 << 30,
        "allocated_memory_bytes": 1 << 30,
        "requested_gpus": 2.0,
        "allocated_gpus": 2.0,
        "gpu_vendor": "nvidia",
        "gpu_devices": ["GPU-0", "GPU-1"],
        "cgroup_path": "/sys/fs/cgroup/…/job_123",
        "partition": "batch",
        "account": "physics",
        "scheduler_instance": "slurm",
        "ingest_version": "prolog-v1",
    }
    assert (told.rank, told.state_rank) == (3, 3)


def test_a_start_time_beats_the_timestamp() -> None:
    told = read_started(STARTED | {"start_time": "2026-01-02T04:00:00+01:00"})
    assert told.facts["start_at"] == datetime(2026, 1, 2, 3, tzinfo=UTC)
    finished = read_finished(FINISHED | {"end_time": "2026-01-02T04:00:00+01:00"})
    assert finished.facts["end_at"] == datetime(2026, 1, 2, 3, tzinfo=UTC)
    assert read_finished(FINISHED).facts["end_at"] == MOMENT


def test_an_ending_may_say_whose_job_it_was_and_where() -> None:
    """Of a job cancelled while pending nothing else is ever told."""
    finished = read_finished(FINISHED | {"user": "alice", "node_list": ["n2", "n1"]})
    assert finished.facts["user_name"] == "alice"
    assert finished.facts["nodes"] == ["n1", "n2"]
    assert {"user_name", "nodes"}.isdisjoint(read_finished(FINISHED).facts)


@pytest.mark.parametrize(
    ("source", "rank"),
    [(None, 3), ("lifecycle-event", 3), ("controller", 4), ("scheduler", 4), ("inferred", 1)],
)
def test_the_source_says_how_much_an_event_counts(source: str | None, rank: int) -> None:
    assert read_started(STARTED | {"source": source}).rank == rank
    finished = read_finished(FINISHED | {"source": source, "raw_state": "FAILED"})
    assert (finished.rank, finished.state_rank) == (rank, rank)


@pytest.mark.parametrize("source", [None, "controller"])
def test_a_state_from_an_exit_code_alone_is_inferred_whoever_says_it(source: str | None) -> None:
    assert read_finished(FINISHED | {"source": source}).state_rank == 1
    # A raw state that is not known, or that is no end, tells nothing.
    for raw in ("COMPLETING", "RUNNING", " ", "nonsense"):
        told = read_finished(FINISHED | {"source": source, "raw_state": raw})
        assert (told.facts["state"], told.state_rank) == ("failed", 1)


@pytest.mark.parametrize(
    ("raw", "state", "reason"),
    [
        ("COMPLETED", "completed", None),
        ("OUT_OF_MEMORY", "failed", "out_of_memory"),
        ("TIMEOUT", "failed", "timeout"),
        ("NODE_FAIL", "failed", "node_fail"),
        ("BOOT_FAIL", "failed", "boot_fail"),
        ("DEADLINE", "failed", "deadline"),
        ("PREEMPTED", "cancelled", "preempted"),
        ("CANCELLED by 1000", "cancelled", None),
        ("CANCELLED+", "cancelled", None),
        ("cancelled", "cancelled", None),
        ("REVOKED", "cancelled", "revoked"),
    ],
)
def test_the_raw_state_beats_what_the_epilog_concluded(
    raw: str, state: str, reason: str | None
) -> None:
    told = read_finished(FINISHED | {"final_state": "completed", "raw_state": raw})
    assert (told.facts["state"], told.facts["state_reason"]) == (state, reason)
    assert told.state_rank == 3


def test_a_reason_that_is_given_makes_the_state_told() -> None:
    told = read_finished(FINISHED | {"state_reason": "timeout"})
    assert (told.facts["state"], told.facts["state_reason"]) == ("failed", "timeout")
    assert told.state_rank == 3


@pytest.mark.parametrize(
    ("body", "change", "field", "message"),
    [
        (STARTED, {"job_id": None}, "job_id", "job_id is required"),
        (STARTED, {"job_id": ""}, "job_id", "job_id is required"),
        (STARTED, {"user": None}, "user", "user is required"),
        (STARTED, {"node_list": None}, "node_list", "node_list is required"),
        (STARTED, {"node_list": []}, "node_list", "node_list is required"),
        (STARTED, {"node_list": [""]}, "node_list", "node_list is required"),
        (STARTED, {"timestamp": None}, "timestamp", "timestamp is required"),
        (FINISHED, {"job_id": None}, "job_id", "job_id is required"),
        (FINISHED, {"timestamp": None}, "timestamp", "timestamp is required"),
        (FINISHED, {"final_state": None}, "final_state", "final_state is required"),
        (FINISHED, {"final_state": "done"}, "final_state", "Invalid final_state"),
        (FINISHED, {"final_state": "FAILED"}, "final_state", "Invalid final_state"),
        (FINISHED, {"final_state": "running"}, "final_state", "final_state must be an ending"),
        (FINISHED, {"final_state": "unknown"}, "final_state", "Invalid final_state"),
        (FINISHED, {"state_reason": "because"}, "state_reason", "state_reason must be one of"),
        (FINISHED, {"exit_code": "1"}, "exit_code", "exit_code must be an integer"),
        (FINISHED, {"signal": -9}, "signal", "signal must be an integer of at least 0"),
        (STARTED, {"timestamp": "2026-01-02T03:04:05"}, "timestamp", "with its zone"),
        (STARTED, {"cpu_allocation": "4"}, "cpu_allocation", "must be a number"),
        (STARTED, {"memory_allocation_mb": -1}, "memory_allocation_mb", "MiB"),
        (STARTED, {"node_list": "n1,n2"}, "node_list", "a list of texts"),
        (STARTED, {"job_id": 123}, "job_id", "must be a text"),
        (STARTED, {"job_id": "1" * 256}, "job_id", "at most 255"),
        (STARTED, {"cluster": "c" * 256}, "cluster", "at most 255"),
        (STARTED, {"user": "u" * 256}, "user", "at most 255"),
    ],
)
def test_refusals(body: dict[str, Any], change: dict[str, Any], field: str, message: str) -> None:
    read = read_started if body is STARTED else read_finished
    with pytest.raises(ValidationError, match=message) as refused:
        read(body | change)
    assert refused.value.code == "validation_error"
    assert refused.value.details["field"] == field
    assert refused.value.details["rule"]


@pytest.mark.parametrize("vendor", ["none", "nvidia", "amd", "mixed"])
def test_vendors(vendor: str) -> None:
    assert read_started(STARTED | {"gpu_vendor": vendor}).facts["gpu_vendor"] == vendor


@given(st.data(), json_values())
def test_any_value_anywhere_is_taken_or_refused_by_name(data: st.DataObject, new: Any) -> None:
    body, read = data.draw(st.sampled_from([(STARTED, read_started), (FINISHED, read_finished)]))
    path = data.draw(st.sampled_from([path for path in places(body) if path]))
    found = attempt(read, replaced(body, path, new))
    assert not isinstance(found, CallerError) or found.details["field"] == path[0]


@given(st.dictionaries(st.sampled_from(sorted({*STARTED, *FINISHED})), json_values()))
def test_any_object_is_taken_or_refused_by_name(body: dict[str, Any]) -> None:
    for read in (read_started, read_finished):
        found = attempt(read, body)
        assert not isinstance(found, CallerError) or found.details["field"]


@pytest.mark.parametrize(
    "raw",
    ["REQUEUED", "PENDING", '["PENDING","COMPLETING"]', "PENDING,COMPLETING", "REQUEUE_HOLD"],
)
def test_a_requeued_run_ends_as_cancelled(raw: str) -> None:
    told = read_finished(FINISHED | {"final_state": "completed", "exit_code": 0, "raw_state": raw})
    assert (told.facts["state"], told.facts["state_reason"]) == ("cancelled", "requeued")
    assert told.state_rank == 3


def test_flags_beside_a_raw_state_are_not_the_state() -> None:
    told = read_finished(FINISHED | {"raw_state": '["TIMEOUT","COMPLETING"]'})
    assert (told.facts["state"], told.facts["state_reason"]) == ("failed", "timeout")


def test_suspended_and_resumed_are_told_with_their_time() -> None:
    later = {"start_time": "2026-01-02T01:00:00Z"}
    suspended = read_started(STARTED | later | {"raw_state": "SUSPENDED"})
    assert (suspended.facts["state"], suspended.facts["state_reason"]) == ("running", "suspended")
    assert suspended.facts["state_at"] == MOMENT
    resumed = read_started(STARTED | later | {"raw_state": "RUNNING"})
    assert resumed.facts["state_reason"] is None
    assert "state_at" not in read_started(STARTED).facts


def test_a_restart_count_is_the_runs_own_at_a_start_and_a_hint_at_an_ending() -> None:
    start = read_started(STARTED | {"restart_count": 2}).observation("home")
    assert (start.restart_count, start.restart_hint, start.is_start) == (2, None, True)
    end = read_finished(FINISHED | {"restart_count": 2}).observation("home")
    assert (end.restart_count, end.restart_hint, end.is_start) == (None, 2, False)
    assert (end.cluster, end.scheduler, end.actor) == ("home", "slurm", "slurm-epilog")


def test_what_a_job_holds_of_its_nodes() -> None:
    alloc = [{"node": "n1", "cpus": 2, "memory_bytes": 5, "gpus": ["b", "a"]}, {"node": "n2"}]
    told = read_started(STARTED | {"nodes_alloc": alloc})
    assert told.facts["nodes_alloc"] == [
        {"node": "n1", "cpus": 2.0, "memory_bytes": 5.0, "gpus": ["a", "b"]},
        {"node": "n2"},
    ]
    counted = read_started(STARTED | {"nodes_alloc": [{"node": "n1", "gpus": 2}]})
    assert counted.facts["nodes_alloc"] == [{"node": "n1"}]
    wrong: list[Any] = [{"n1": 1}, [{}], [{"node": "n1", "cpus": -1}], ["n1"]]
    for value in (*wrong, [{"node": "n1", "gpus": [1]}]):
        with pytest.raises(ValidationError):
            read_started(STARTED | {"nodes_alloc": value})


@pytest.mark.parametrize(
    ("exit_code", "signal", "reason"),
    [(3, 0, "exit_code"), (0, 11, "signal"), (139, 11, "signal"), (0, 0, None), (None, None, None)],
)
def test_why_a_job_failed_is_read_from_its_exit(
    exit_code: int | None, signal: int | None, reason: str | None
) -> None:
    exit_ = {"exit_code": exit_code, "signal": signal}
    told = read_finished(FINISHED | {"raw_state": "FAILED"} | exit_)
    assert (told.facts["state"], told.facts["state_reason"]) == ("failed", reason)
    # What the scheduler says itself stays.
    told = read_finished(FINISHED | {"raw_state": "TIMEOUT"} | exit_)
    assert told.facts["state_reason"] == "timeout"
