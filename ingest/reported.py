"""POST /v1/jobs/{id}/metrics: samples of a whole job that a client measured itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from ingest.audit import read_audit
from ingest.fields import Field, read_fields
from ingest.payload import ObjectReader
from ingest.writtenjob import ENDS, TERMINAL, lock_named_job
from tsobs.answers import json_response
from tsobs.db import Connection, Database
from tsobs.errors import Conflict, ValidationError
from tsobs.jobs.jobobject import reported_object

__all__ = ["REPORT", "USAGE", "ReportedHandler", "store_sample"]

USAGE = ("cpu_usage", "memory_usage_mb", "gpu_usage")
REPORT = (
    Field(
        "cpu_usage", None, "percent", required=True, broken="CPU usage must be between 0 and 100"
    ),
    Field(
        "memory_usage_mb",
        None,
        "whole_mebibytes",
        required=True,
        broken="Memory usage must be non-negative",
    ),
    Field("gpu_usage", None, "percent", broken="GPU usage must be between 0 and 100"),
    Field("timestamp", None, "time"),
)
# As for agents: clocks differ, and what is further ahead is a mistake.
AHEAD = timedelta(minutes=10)


class ReportedHandler:
    """One row a job and time: a sample that is sent again changes nothing."""

    def __init__(self, database: Database, reader: ObjectReader) -> None:
        self._database = database
        self._reader = reader

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """201 with the sample; 200 with what is there already for its time."""
        read_audit(request)
        values = read_fields(await self._reader.read(request), REPORT)
        now = datetime.now(UTC)
        time = values.get("timestamp", now)
        async with self._database.transaction() as connection:
            job_key, held = await lock_named_job(connection, request)
            if held["state"] in ENDS:
                raise Conflict(TERMINAL, state=held["state"])
            _check_time(time, now, await connection.fetchval("retention_seconds"))
            is_new = await store_sample(connection, job_key, time, values)
            stored = await connection.fetchrow("reported_sample", job_key, time)
        assert stored is not None
        return json_response(reported_object(stored), 201 if is_new else 200)


async def store_sample(
    connection: Connection, job_key: int, time: datetime, values: Mapping[str, Any]
) -> bool:
    """Stores what is known of a job at a time; False when there is something already."""
    ratios_and_bytes = (values.get(name) for name in USAGE)
    return await connection.fetchval("report_sample", job_key, time, *ratios_and_bytes) is not None


def _check_time(time: datetime, now: datetime, kept_s: float) -> None:
    rule = None
    if time > now + AHEAD:
        rule = f"must not be more than {AHEAD.seconds // 60} minutes ahead"
    elif time < now - timedelta(seconds=kept_s):
        rule = f"must not be older than the {kept_s / 86_400:g} days that samples are kept"
    if rule is not None:
        raise ValidationError(f"timestamp {rule}", field="timestamp", rule=rule)
