"""The schema of a job has the fields of its object, all of them and no others."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from tsobs.jobs.jobobject import gpu_object, job_object, node_object
from tsobs.jobs.jobschema import (
    DETAIL_FIELDS,
    GPU_FIELDS,
    JOB_FIELDS,
    NODE_FIELDS,
    SCHEDULER_FIELDS,
)

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def row(**values: Any) -> defaultdict[str, Any]:
    """A record of which all is known."""
    return defaultdict(lambda: 1.0, values)


def test_every_field_of_a_job() -> None:
    times = {name: NOW for name in ("start_at", "end_at", "submit_at", "read_at")}
    job = row(**times, nodes=["n1"], cluster="alpha", job_id="1", restart_count=0, run=0)
    seen = {"first_interval_at": NOW, "last_sample_at": NOW}
    # A job that ran for no time has no coverage, and one that was hardly measured has.
    job["start_at"] = NOW.replace(day=1)
    told = job_object(job, row(**seen, sampled_nodes=["n1"]), row(any=1), row(any=1))
    assert set(told) == set(JOB_FIELDS)
    assert set(told["scheduler"]) == set(SCHEDULER_FIELDS)


def test_every_field_of_its_parts() -> None:
    assert set(node_object(row())) == set(NODE_FIELDS)
    assert set(gpu_object(row())) == set(GPU_FIELDS)
    assert set(DETAIL_FIELDS) - set(JOB_FIELDS) == {"per_node", "per_gpu"}
