"""What hooks tell of a job's life: job-started and job-finished, read into facts with ranks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from ingest.eventfields import ENDS, FINISHED, REASONS, STARTED
from ingest.fields import Field, read_fields
from ingest.observation import Observation
from tsobs.errors import ValidationError

__all__ = ["Told", "read_finished", "read_started"]

CONTROLLER_RANK = 4
HOOK_RANK = 3
INFERRED_RANK = 1

# Which source speaks with which authority; one we do not know is taken for a node's hook.
_RANKS = {"controller": CONTROLLER_RANK, "scheduler": CONTROLLER_RANK, "inferred": INFERRED_RANK}

_STATES = ("pending", "running", "completed", "failed", "cancelled")
# Slurm's own states: (state, state_reason).
_RAW_STATES = {
    "PENDING": ("pending", None),
    "CONFIGURING": ("pending", None),
    "REQUEUED": ("pending", None),
    "REQUEUE_FED": ("pending", None),
    "REQUEUE_HOLD": ("pending", None),
    "SPECIAL_EXIT": ("pending", None),
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
# Beside the state, not one.
_FLAGS = {"COMPLETING", "STOPPED", "CONFIGURING"}


class Told(NamedTuple):
    """One event, read: what it says of the job, and with which authority."""

    kind: str
    values: Mapping[str, Any]
    facts: dict[str, Any]
    rank: int
    state_rank: int

    def observation(self, cluster: str) -> Observation:
        """As the database takes it; `cluster` is for senders that do not name theirs."""
        values = self.values
        at: datetime = values["start_time"] if values.get("start_time") else values["timestamp"]
        is_start = self.kind == "started"
        return Observation(
            cluster=values.get("cluster") or cluster,
            scheduler=values.get("scheduler") or "slurm",
            job_id=values["job_id"],
            restart_count=values.get("restart_count") if is_start else None,
            # An ending's is only a hint: Slurm's epilog of a requeued run says the next one.
            restart_hint=None if is_start else values.get("restart_count"),
            at=at,
            is_start=is_start,
            rank=self.rank,
            state_rank=self.state_rank,
            facts=self.facts,
            kind=self.kind,
            actor="slurm-prolog" if is_start else "slurm-epilog",
            source=values.get("source") or "lifecycle-event",
        )


def read_started(body: Mapping[str, Any]) -> Told:
    """A job-started event; raises ValidationError naming the field."""
    values = read_fields(body, STARTED)
    if not values["node_list"]:
        raise ValidationError("node_list is required", field="node_list", rule="at least one node")
    facts = _facts(values, STARTED)
    facts.setdefault("start_at", values["timestamp"])
    facts.update(state="running", scheduler_instance="slurm", ingest_version="prolog-v1")
    raw = _raw_state(values.get("raw_state"))
    if raw is not None and raw[0] == "running":
        facts["state_reason"] = raw[1]
        # Suspended and resumed have one rank: the later told is right.
        facts["state_at"] = values["timestamp"]
    for name in ("cpus", "memory_bytes", "gpus"):
        facts[f"requested_{name}"] = facts.get(f"allocated_{name}")
    rank = _RANKS.get(values.get("source") or "", HOOK_RANK)
    return Told("started", values, facts, rank, rank)


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
    if raw is not None and raw[0] == "pending":
        # The job waits again, so what ended is the run before: as if it had been cancelled.
        raw = ("cancelled", "requeued")
    if raw == ("failed", None):
        # The scheduler does not say why; how it exited does.
        raw = ("failed", _reason_of_exit(facts.get("exit_code"), facts.get("signal")))
    if raw is not None and raw[0] in ENDS:
        facts["state"], facts["state_reason"] = raw
        return Told("finished", values, facts, rank, rank)
    facts["state"] = values["final_state"]
    if facts.get("state_reason") is not None:
        return Told("finished", values, facts, rank, rank)
    return Told("finished", values, facts, rank, INFERRED_RANK)


def _reason_of_exit(exit_code: int | None, signal: int | None) -> str | None:
    if signal:
        return "signal"
    return "exit_code" if exit_code else None


def _raw_state(value: str | None) -> tuple[str, str | None] | None:
    """Slurm says `CANCELLED by 1000`, and adds flags with `+` or, in a list, with commas."""
    words = re.split(r"[\s,+\[\]\"]+", (value or "").upper())
    states = [_RAW_STATES[word] for word in words if word in _RAW_STATES and word not in _FLAGS]
    return states[0] if states else None


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
