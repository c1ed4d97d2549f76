"""Runs of a job that have the same labels are one series."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from query.jobcounts import JobCounts
from query.snapshot import Snapshot, merge_runs, relations

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
EMPTY = Snapshot([], [], [], [], [], [], [], JobCounts({"running": 0}, 0), None)


def gpu_row(job_key: int, *, hour: int = 0, **values: Any) -> dict[str, Any]:
    row = {"job_key": job_key, "started_at": START + timedelta(hours=hour)}
    row |= {"cluster": "alpha", "job_id": "1", "node": "n1", "gpu": "GPU-1", "vendor": "nvidia"}
    row |= {"share": 1.0, "utilization_ratio": None, "memory_used_bytes": None, "power_w": None}
    row |= {"temperature_celsius": None, "known_s": None, "busy_s": None, "energy_j": None}
    return row | values


def test_rows_with_other_labels_stay_as_they_are() -> None:
    rows = [gpu_row(1), gpu_row(2, gpu="GPU-2")]
    assert merge_runs("job_gpu", rows) is rows


def test_gauges_are_those_of_the_newest_run_and_counters_of_all() -> None:
    old = gpu_row(2, hour=0, power_w=100.0, energy_j=5.0, busy_s=1.0)
    new = gpu_row(1, hour=1, power_w=None, energy_j=7.0, busy_s=None)
    [merged] = merge_runs("job_gpu", [old, new])
    assert merged["power_w"] is None
    assert merged["energy_j"] == 12.0
    assert merged["busy_s"] == 1.0
    assert merged["known_s"] is None


def test_the_later_key_is_newer_where_the_starts_are_equal() -> None:
    [merged] = merge_runs("job_gpu", [gpu_row(2, power_w=2.0), gpu_row(1, power_w=1.0)])
    assert merged["power_w"] == 2.0


def test_ended_runs_stay_in_the_counters_only() -> None:
    ended = [gpu_row(1, energy_j=5.0, power_w=100.0), gpu_row(9, gpu="GPU-2", energy_j=1.0)]
    [merged] = merge_runs("job_gpu", [gpu_row(2, energy_j=None, power_w=None)], ended)
    assert (merged["energy_j"], merged["power_w"]) == (5.0, None)


def test_a_living_run_is_not_counted_twice() -> None:
    alive = [gpu_row(1, energy_j=5.0), gpu_row(2, energy_j=7.0)]
    totals = [gpu_row(1, energy_j=5.0), gpu_row(2, energy_j=7.0), gpu_row(3, energy_j=1.0)]
    [merged] = merge_runs("job_gpu", alive, totals)
    assert merged["energy_j"] == 13.0


def test_each_relation_of_the_catalogue_has_its_rows() -> None:
    found = relations(EMPTY._replace(counts=JobCounts({"running": 3}, 9), last_collect_s=1.5))
    assert found["job_state"] == [{"state": "running", "jobs": 3}]
    assert found["service"] == [{"jobs_ever": 9, "last_collect_s": 1.5}]
    assert not found["job_node"]


def test_a_job_that_waits_for_its_user_counts_on_its_node_but_has_no_series() -> None:
    job = {"job_key": 1, "started_at": START, "cluster": "alpha", "job_id": "1", "user_name": ""}
    waiting = {**job, "node": "n1", "node_id": 1, "is_waiting": True}
    node = {"cluster": "alpha", "node": "n1", "node_id": 1}
    found = relations(EMPTY._replace(job_node=[waiting], node=[node]))
    assert found["node"] == [{**node, "jobs": 1}]
    assert not found["job_node"]
    assert not found["job"]


def test_a_job_on_two_nodes_is_told_of_once() -> None:
    job = {"job_key": 1, "started_at": START, "cluster": "alpha", "job_id": "1", "user_name": "a"}
    rows = [{**job, "node": f"n{n}", "node_id": n, "is_waiting": False} for n in (1, 2)]
    found = relations(EMPTY._replace(job_node=rows))
    assert len(found["job_node"]) == 2
    assert len(found["job"]) == 1
