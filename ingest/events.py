"""POST /v1/events/job-started and job-finished: what hooks tell of a job's life."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from aiohttp import web

from ingest.body import ByteBudget, taken_body, unpack
from ingest.fields import Field, read_fields
from ingest.jsontext import parse_json
from ingest.payload import audit_payload
from tsobs.db import Database
from tsobs.errors import Forbidden, InvalidRequest, ValidationError
from tsobs.viewer import VIEWER, Viewer
from tsobs.web import CORRELATION, json_response

__all__ = ["ENDS", "FINISHED", "REASONS", "STARTED", "EventsHandler"]

CONTROLLER_RANK = 4
HOOK_RANK = 3
INFERRED_RANK = 1

# Which source speaks with which authority; one we do not know is taken for a node's hook.
_RANKS = {"controller": CONTROLLER_RANK, "scheduler": CONTROLLER_RANK, "inferred": INFERRED_RANK}

_STATES = ("pending", "running", "completed", "failed", "cancelled")
ENDS = ("completed", "failed", "cancelled")
# Slurm's own states: (state, state_reason).
_RAW_STATES = {
    "PENDING": ("pending", None),
    "CONFIGURING": ("pending", None),
    "REQUEUED": ("pending", None),
    "RUNNING": ("running", None),
    "SUSPENDED": ("running", "suspended"),
    "COMPLETED": ("completed", None),
    "FAILED": ("failed", None),
    "OUT_OF_MEMORY": ("failed", "out_of_memory"),
    "TIMEOUT": ("failed", "timeout"),
    "NODE_FAIL": ("failed", "node_fail"),
    "BOOT_FAIL": ("failed", "boot_fail"),
    "DEADLINE": ("failed", "deadline"),
    "CANCELLED": ("cancelled", None),
    "REVOKED": ("cancelled", "revoked"),
    "PREEMPTED": ("cancelled", "preempted"),
}
REASONS = frozenset(
    {"out_of_memory", "timeout", "node_fail", "boot_fail", "deadline", "preempted", "revoked"}
    | {"suspended", "exit_code", "signal"}
)

# Fields of both events, as they arrive: the job's column (None: used otherwise) and the kind of
# value.
_COMMON = (
    Field("job_id", None, "name", required=True),
    Field("timestamp", None, "time", required=True),
    Field("cluster", None, "name"),
    Field("scheduler", None, "word"),
    Field("restart_count", None, "count"),
    Field("source", None, "text"),
    Field("node", None, "text"),
    Field("name", "name", "text"),
    Field("qos", "qos", "text"),
    Field("account", "account", "text"),
    Field("partition", "partition", "text"),
    Field("array_job_id", "array_job_id", "text"),
    Field("array_task_id", "array_task_id", "text"),
    Field("het_job_id", "het_job_id", "text"),
    Field("het_offset", "het_offset", "count"),
    Field("submit_time", "submit_at", "time"),
    Field("start_time", "start_at", "time"),
    Field("end_time", "end_at", "time"),
    Field("time_limit_s", "time_limit_s", "number"),
    Field("raw_state", "raw_state", "text"),
    Field("state_reason", "state_reason", "text"),
    Field("oom_killed", "oom_killed", "boolean"),
)
STARTED = (
    *_COMMON,
    Field("user", "user_name", "name", required=True),
    Field("node_list", "nodes", "texts", required=True),
    Field("cpu_allocation", "allocated_cpus", "number"),
    Field("memory_allocation_mb", "allocated_memory_bytes", "mebibytes"),
    Field("gpu_allocation", "allocated_gpus", "number"),
    Field("gpu_vendor", "gpu_vendor", "text"),
    Field("gpu_devices", "gpu_devices", "texts"),
    Field("cgroup_path", "cgroup_path", "text"),
)
FINISHED = (
    *_COMMON,
    Field("final_state", None, "text", required=True),
    Field("exit_code", "exit_code", "integer"),
    Field("signal", "signal", "count"),
)


class Told(NamedTuple):
    """One event, read: what it says of the job, and with which authority."""

    values: Mapping[str, Any]
    facts: dict[str, Any]
    rank: int
    state_rank: int


class EventsHandler:
    """Both routes; `cluster` is for senders that do not name theirs."""

    def __init__(
        self, database: Database, *, cluster: str, budget: ByteBudget, max_body_bytes: int
    ) -> None:
        self._database = database
        self._cluster = cluster
        self._budget = budget
        self._max_body_bytes = max_body_bytes

    async def started(self, request: web.Request) -> web.StreamResponse:
        """A job began to run."""
        body = await self._body(request)
        told = read_started(body)
        outcome = await self._observe(request, told, body, "started")
        message = {"created": "Job registered successfully", "updated": "Job updated"}
        return _answer(told, outcome, message.get(outcome, "Job already registered"))

    async def finished(self, request: web.Request) -> web.StreamResponse:
        """A job ended; one that nobody announced is made."""
        body = await self._body(request)
        told = read_finished(body)
        outcome = await self._observe(request, told, body, "finished")
        is_news = outcome != "skipped"
        message = "Job finished successfully" if is_news else "Job already in terminal state"
        return _answer(told, "updated" if is_news else outcome, message)

    async def _body(self, request: web.Request) -> dict[str, Any]:
        async with taken_body(request, self._budget, self._max_body_bytes) as raw:
            body = parse_json(await unpack(request, raw, self._max_body_bytes))
        if not isinstance(body, dict):
            raise InvalidRequest("Invalid JSON body", field="body", rule="an object")
        return body

    async def _observe(
        self, request: web.Request, told: Told, body: Mapping[str, Any], kind: str
    ) -> str:
        values = told.values
        cluster = values.get("cluster") or self._cluster
        viewer = request[VIEWER]
        _check_bounds(viewer, cluster, values)
        at: datetime = values["start_time"] if values.get("start_time") else values["timestamp"]
        # An ending's restart_count is only a hint (Slurm's epilog of a requeued run says the next
        # one).
        restart_count = values.get("restart_count") if kind == "started" else None
        payload = audit_payload(body)
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(
                "observe_job",
                cluster,
                values.get("scheduler") or "slurm",
                values["job_id"],
                restart_count,
                at,
                kind == "started",
                told.rank,
                told.state_rank,
                orjson.dumps(told.facts).decode(),
                kind,
                "slurm-prolog" if kind == "started" else "slurm-epilog",
                values.get("source") or "lifecycle-event",
                request[CORRELATION],
                payload,
            )
        assert row is not None
        outcome: str = row["outcome"]
        return outcome


def read_started(body: Mapping[str, Any]) -> Told:
    """A job-started event; raises ValidationError naming the field."""
    values = read_fields(body, STARTED)
    if not values["node_list"]:
        raise ValidationError("node_list is required", field="node_list", rule="at least one node")
    facts = _facts(values, STARTED)
    facts.setdefault("start_at", values["timestamp"])
    facts.update(state="running", scheduler_instance="slurm", ingest_version="prolog-v1")
    for name in ("cpus", "memory_bytes", "gpus"):
        facts[f"requested_{name}"] = facts.get(f"allocated_{name}")
    rank = _RANKS.get(values.get("source") or "", HOOK_RANK)
    return Told(values, facts, rank, rank)


def read_finished(body: Mapping[str, Any]) -> Told:
    """A job-finished event. A state that rests on an exit code alone is inferred, whoever says it;
    one with
    the scheduler's raw state is not."""
    values = read_fields(body, FINISHED)
    if values["final_state"] not in _STATES:
        raise ValidationError(
            "Invalid final_state", field="final_state", rule=f"one of {', '.join(ENDS)}"
        )
    if values["final_state"] not in ENDS:
        raise ValidationError(
            "final_state must be an ending", field="final_state", rule=f"one of {', '.join(ENDS)}"
        )
    facts = _facts(values, FINISHED)
    facts.setdefault("end_at", values["timestamp"])
    rank = _RANKS.get(values.get("source") or "", HOOK_RANK)
    raw = _raw_state(values.get("raw_state"))
    if raw is not None and raw[0] in ENDS:
        facts["state"], facts["state_reason"] = raw
        return Told(values, facts, rank, rank)
    facts["state"] = values["final_state"]
    if facts.get("state_reason") is not None:
        return Told(values, facts, rank, rank)
    return Told(values, facts, rank, INFERRED_RANK)


def _raw_state(value: str | None) -> tuple[str, str | None] | None:
    """Slurm says `CANCELLED by 1000`, and adds flags with `+`."""
    if value is None:
        return None
    return _RAW_STATES.get(value.split()[0].split("+")[0].upper()) if value.strip() else None


def _facts(values: Mapping[str, Any], fields: tuple[Field, ...]) -> dict[str, Any]:
    facts = {field.column: values.get(field.name) for field in fields if field.column}
    reason = facts.get("state_reason")
    if reason is not None and reason not in REASONS:
        raise ValidationError(
            f"state_reason must be one of {', '.join(sorted(REASONS))}",
            field="state_reason",
            rule="one of the list",
        )
    return {name: value for name, value in facts.items() if value is not None}


def _check_bounds(viewer: Viewer, cluster: str, values: Mapping[str, Any]) -> None:
    if viewer.cluster is not None and viewer.cluster != cluster:
        raise Forbidden(
            f"this token writes for cluster {viewer.cluster} only",
            field="cluster",
            rule=f"must be {viewer.cluster}",
        )
    if viewer.node is not None and viewer.node != values.get("node"):
        raise Forbidden(
            f"this token writes for node {viewer.node} only",
            field="node",
            rule=f"must be {viewer.node}",
        )


def _answer(told: Told, status: str, message: str) -> web.Response:
    return json_response({"status": status, "job_id": told.values["job_id"], "message": message})
