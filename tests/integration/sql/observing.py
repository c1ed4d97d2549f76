"""Observations of jobs, made in a database as the service makes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

import asyncpg

__all__ = ["Connection", "Jobs", "Seen"]

Record = asyncpg.Record
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

# Columns that tell of the observing, not of the job.
_BOOKKEEPING = ("job_key", "run", "created_at", "updated_at", "hulls")


class Seen(NamedTuple):
    """What an observation came to."""

    job_key: int
    outcome: str


class Jobs:
    """Observations through tsobs_store.observe_job; `minute` counts from a fixed start."""

    start = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def at(self, minute: float) -> datetime:
        """A moment."""
        return self.start + timedelta(minutes=minute)

    async def observe(
        self,
        minute: float = 0,
        *,
        job_id: str = "7",
        restart_count: int | None = None,
        is_start: bool = False,
        rank: int = 3,
        state_rank: int | None = None,
        cluster: str = "alpha",
        scheduler: str = "slurm",
        restart_hint: int | None = None,
        **facts: Any,
    ) -> Seen:
        """One observation that speaks of `minute`; facts as columns of job."""
        row = await self.connection.fetchrow(
            "select * from tsobs_store.observe_job("
            "$1, $10, $2, $3, $4, $5, $6, $7, $8::jsonb,"
            " 'told', 'me', 'test', 'c-1', $9::jsonb, p_restart_hint => $11)",
            cluster,
            job_id,
            restart_count,
            self.at(minute),
            is_start,
            rank,
            rank if state_rank is None else state_rank,
            json.dumps(facts, default=str),
            json.dumps({"a": 1}),
            scheduler,
            restart_hint,
        )
        assert row is not None
        return Seen(row["job_key"], row["outcome"])

    async def started(self, minute: float, **more: Any) -> Seen:
        """A hook's job-started event."""
        told: dict[str, Any] = {"state": "running", "start_at": self.at(minute), **more}
        return await self.observe(minute, is_start=True, **told)

    async def ended(self, minute: float, *, spoken_of: float | None = None, **more: Any) -> Seen:
        """A hook's job-finished event, of the end or of the start that it names."""
        told: dict[str, Any] = {"state": "completed", "exit_code": 0, "end_at": self.at(minute)}
        at = minute if spoken_of is None else spoken_of
        return await self.observe(at, state_rank=1, **{**told, **more})

    async def row(self, job_key: int) -> Mapping[str, Any]:
        """The job's row, without what tells of the observing alone."""
        row = await self.connection.fetchrow(
            "select * from tsobs_store.job where job_key = $1", job_key
        )
        assert row is not None
        return {name: value for name, value in row.items() if name not in _BOOKKEEPING}

    async def runs(self, job_id: str = "7") -> list[tuple[int | None, int]]:
        """(restart_count, run) of all runs of an id, in the order they were made."""
        rows = await self.connection.fetch(
            "select restart_count, run from tsobs_store.job where job_id = $1 order by job_key",
            job_id,
        )
        return [(row["restart_count"], row["run"]) for row in rows]

    async def events(self, job_key: int) -> list[Record]:
        """Its audit trail."""
        return await self.connection.fetch(
            "select * from tsobs_store.job_event where job_key = $1 order by event_id", job_key
        )
