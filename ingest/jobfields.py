"""The bodies of POST and PATCH /v1/jobs: what a client may say of a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from ingest.fields import Field, read_fields
from tsobs.errors import ValidationError

__all__ = ["CREATE", "SCHEDULER", "UPDATE", "NewJob", "read_create", "read_update"]

CREATE = (
    Field("id", None, "job_id", required=True, missing="Job ID is required"),
    Field("user", "user_name", "name", required=True, missing="User is required"),
    Field("nodes", "nodes", "texts", required=True, missing="At least one node is required"),
    Field("cluster", None, "cluster"),
    Field("restart_count", None, "count"),
    Field("name", "name", "text"),
    Field("account", "account", "text"),
    Field("partition", "partition", "text"),
    Field("qos", "qos", "text"),
    Field("array_job_id", "array_job_id", "text"),
    Field("array_task_id", "array_task_id", "text"),
    Field("het_job_id", "het_job_id", "text"),
    Field("het_offset", "het_offset", "count"),
    Field("submit_time", "submit_at", "time"),
    Field("start_time", "start_at", "time"),
    Field("time_limit_s", "time_limit_s", "number"),
    Field("requested_cpus", "requested_cpus", "number"),
    Field("allocated_cpus", "allocated_cpus", "number"),
    Field("requested_memory_mb", "requested_memory_bytes", "mebibytes"),
    Field("allocated_memory_mb", "allocated_memory_bytes", "mebibytes"),
    Field("requested_gpus", "requested_gpus", "number"),
    Field("allocated_gpus", "allocated_gpus", "number"),
    Field("scheduler", None, "object"),
)
# What is not a column is kept in the audit trail, as all of the body is.
SCHEDULER = (
    Field("type", None, "scheduler"),
    Field("external_job_id", None, "name"),
    Field("raw_state", "raw_state", "text"),
    Field("state_reason", None, "text"),
    Field("submit_time", "submit_at", "time"),
    Field("partition", "partition", "text"),
    Field("account", "account", "text"),
    Field("qos", "qos", "text"),
    Field("priority", "priority", "long"),
    Field("exit_code", "exit_code", "integer"),
    Field("time_limit_minutes", "time_limit_s", "minutes"),
    Field("extra", None, "object"),
)
UPDATE = (
    Field("state", "state", "state", broken="Invalid job state"),
    Field("cpu_usage", None, "percent", broken="CPU usage must be between 0 and 100"),
    Field("memory_usage_mb", None, "whole_mebibytes", broken="Memory usage must be non-negative"),
    Field("gpu_usage", None, "percent", broken="GPU usage must be between 0 and 100"),
    Field("start_time", "start_at", "time"),
    Field("end_time", "end_at", "time"),
    Field("exit_code", "exit_code", "integer"),
    Field("signal", "signal", "count"),
)
DEFAULT_SCHEDULER = "slurm"


class NewJob(NamedTuple):
    """A job as a client announces it: its identity, and facts by the job's columns."""

    job_id: str
    cluster: str | None
    scheduler: str
    restart_count: int | None
    facts: dict[str, Any]


def read_create(body: Mapping[str, Any], now: datetime) -> NewJob:
    """A new job, which runs since `now` unless it says otherwise; raises ValidationError."""
    values = read_fields(body, CREATE)
    if not values["nodes"]:
        rule = "at least one node"
        raise ValidationError("At least one node is required", field="nodes", rule=rule)
    scheduler = _scheduler(values.get("scheduler", {}))
    facts = {"start_at": now} | _facts(scheduler, SCHEDULER) | _facts(values, CREATE)
    facts |= {"state": "running", "scheduler_instance": "api", "ingest_version": "api-v1"}
    return NewJob(
        job_id=values["id"],
        cluster=values.get("cluster"),
        scheduler=scheduler.get("type", DEFAULT_SCHEDULER),
        restart_count=values.get("restart_count"),
        facts=facts,
    )


def read_update(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a change that are said, by their names; raises ValidationError."""
    return read_fields(body, UPDATE)


def _scheduler(body: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return read_fields(body, SCHEDULER)
    except ValidationError as error:
        details = error.details | {"field": f"scheduler.{error.details['field']}"}
        raise ValidationError(f"scheduler.{error.message}", **details) from error


def _facts(values: Mapping[str, Any], fields: Sequence[Field]) -> dict[str, Any]:
    return {
        field.column: values[field.name]
        for field in fields
        if field.column is not None and field.name in values
    }
