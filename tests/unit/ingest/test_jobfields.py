from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ingest.jobfields import read_create, read_update
from tsobs.errors import ValidationError

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
JOB: dict[str, Any] = {"id": "1", "user": "alice", "nodes": ["n2", "n1", ""]}


def test_a_new_job_runs_since_now() -> None:
    told = read_create(JOB, NOW)
    assert (told.job_id, told.cluster, told.scheduler, told.restart_count) == (
        "1",
        None,
        "slurm",
        None,
    )
    assert told.facts == {
        "user_name": "alice",
        "nodes": ["n1", "n2"],
        "state": "running",
        "start_at": NOW,
        "scheduler_instance": "api",
        "ingest_version": "api-v1",
    }


def test_the_jobs_own_fields_count_before_those_of_the_schedulers_object() -> None:
    scheduler = {"type": "pbs", "account": "a", "partition": "b", "time_limit_minutes": 2}
    told = read_create(JOB | {"account": "c", "scheduler": scheduler, "start_time": None}, NOW)
    assert told.scheduler == "pbs"
    facts = {
        name: told.facts[name] for name in ("account", "partition", "time_limit_s", "start_at")
    }
    assert facts == {"account": "c", "partition": "b", "time_limit_s": 120, "start_at": NOW}


def test_a_refusal_inside_the_schedulers_object_says_where() -> None:
    with pytest.raises(ValidationError, match=r"^scheduler\.type must be one of slurm") as refused:
        read_create(JOB | {"scheduler": {"type": "cron"}}, NOW)
    assert refused.value.details["field"] == "scheduler.type"


def test_a_change_has_ratios_and_bytes() -> None:
    told = read_update({"state": "failed", "cpu_usage": 50, "memory_usage_mb": 2, "exit_code": ""})
    assert told == {"state": "failed", "cpu_usage": 0.5, "memory_usage_mb": 2 << 20}
