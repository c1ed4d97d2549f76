"""Coverage: which share of a job's time on all its nodes is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tsobs.jobs.coverage import coverage

START = datetime(2026, 1, 31, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def job(**values: Any) -> dict[str, Any]:
    given = {"state": "completed", "start_at": START, "end_at": at(1000), "nodes": ["n1"]}
    return {**given, "read_at": at(5000), **values}


def usage(**values: Any) -> dict[str, Any]:
    given = {"sampled_nodes": ["n1"], "cpu_known_s": 1000.0, "cpu_capacity_s": 4000.0}
    given |= {"memory_known_s": 1000.0, "first_interval_at": START, "last_sample_at": at(1000)}
    return {**given, "interval_s": 15.0, **values}


def test_what_is_nearly_all_known_says_nothing() -> None:
    assert coverage(job(), usage(), None) is None
    assert coverage(job(), usage(cpu_known_s=960.0), None) is None


def test_the_least_of_the_answers_counts() -> None:
    assert coverage(job(), usage(cpu_known_s=500.0), None) == 0.5
    assert coverage(job(), usage(memory_known_s=250.0), None) == 0.25
    assert coverage(job(), usage(), {"busy_known_s": 30.0, "held_s": 40.0}) == 0.75


def test_an_answer_that_is_not_given_does_not_count() -> None:
    assert coverage(job(), usage(cpu_known_s=None, cpu_capacity_s=None), None) is None
    assert coverage(job(), usage(memory_known_s=None), None) is None
    assert coverage(job(), usage(), {"busy_known_s": None, "held_s": 40.0}) is None


def test_a_node_that_was_never_sampled_is_not_known() -> None:
    assert coverage(job(nodes=["n1", "n2"]), usage(), None) == 0.5


def test_without_a_start_the_first_interval_is_the_beginning() -> None:
    early = usage(first_interval_at=at(-1000))
    assert coverage(job(start_at=None), early, None) == 0.5


def test_a_running_jobs_next_sample_is_not_missing_yet() -> None:
    running = job(state="running", end_at=None, read_at=at(1044))
    assert coverage(running, usage(), None) is None


def test_a_running_job_that_is_no_longer_sampled_is_less_and_less_known() -> None:
    running = job(state="running", end_at=None, read_at=at(2000))
    assert coverage(running, usage(), None) == 0.5


def test_a_merged_interval_does_not_keep_a_job_alive_for_hours() -> None:
    running = job(state="running", end_at=None, read_at=at(2000))
    assert coverage(running, usage(interval_s=86_400.0), None) == 0.5


@pytest.mark.parametrize("state", ["pending", "unknown"])
def test_a_job_without_an_end_is_known_to_its_last_sample(state: str) -> None:
    assert coverage(job(state=state, end_at=None), usage(), None) is None


def test_a_job_of_no_length_says_nothing() -> None:
    assert coverage(job(end_at=START), usage(), None) is None
