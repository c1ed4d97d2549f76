"""POST, PATCH and DELETE of /v1/jobs: what clients tell of jobs by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import orjson
from aiohttp import web

from ingest.audit import Audit, read_audit
from ingest.jobfields import UPDATE, read_create, read_update
from ingest.payload import ObjectReader, audit_payload
from ingest.reported import USAGE, store_sample
from ingest.writtenjob import ENDS, TERMINAL, check_writer, lock_named_job
from tsobs.answers import json_response
from tsobs.db import Connection, Database
from tsobs.errors import Conflict, ValidationError
from tsobs.jobs.describe import describe_job
from tsobs.row import Row
from tsobs.viewer import VIEWER

__all__ = ["ClientJobsHandler"]

_COLUMNS = {field.name: field.column for field in UPDATE if field.column is not None}


class ClientJobsHandler:
    """Each write is one transaction with its audit row; `cluster` is for clients that name none."""

    def __init__(self, database: Database, reader: ObjectReader, *, cluster: str) -> None:
        self._database = database
        self._reader = reader
        self._cluster = cluster

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Announces a job that runs; 409 when there is one of that id."""
        audit, body = read_audit(request), await self._reader.read(request)
        told, payload = read_create(body, datetime.now(UTC)), audit_payload(body)
        cluster = told.cluster or self._cluster
        check_writer(request[VIEWER], cluster)
        async with self._database.transaction() as connection:
            job_key = await connection.fetchval(
                "create_job",
                cluster,
                told.scheduler,
                told.job_id,
                told.restart_count,
                told.facts["start_at"],
                orjson.dumps(told.facts).decode(),
                *audit,
                payload,
            )
            if job_key is None:
                raise Conflict("Job with this ID already exists", id=told.job_id, cluster=cluster)
            job = await describe_job(connection, job_key)
        headers = {"Location": f"/v1/jobs/{quote(job['exact_id'], safe=':')}"}
        return json_response(job, 201, headers=headers)

    async def update(self, request: web.Request) -> web.StreamResponse:
        """Changes a job's state, and takes what the job uses at the moment."""
        audit, body = read_audit(request), await self._reader.read(request)
        values, payload = read_update(body), audit_payload(body)
        now = datetime.now(UTC)
        async with self._database.transaction() as connection:
            job_key, held = await lock_named_job(connection, request)
            if held["state"] not in ENDS:
                facts = _facts(values, held, now)
                await _tell(connection, job_key, facts, now, audit, payload)
                if any(name in values for name in USAGE):
                    await store_sample(connection, job_key, now, values)
            elif values and values != {"state": held["state"]}:
                raise Conflict(TERMINAL, state=held["state"])
            job = await describe_job(connection, job_key)
            if "state" in values and job["state"] != values["state"]:
                # The merge keeps what is further on; rolled back as a whole.
                raise Conflict(_kept(job["state"], values["state"]), state=job["state"])
        return json_response(job)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """Marks a job as deleted: it is not listed and not found any more."""
        audit = read_audit(request)
        async with self._database.transaction() as connection:
            job_key, _ = await lock_named_job(connection, request)
            await connection.execute("delete_job", job_key, *audit)
        return web.Response(status=204, content_type="application/json")


def _facts(values: Mapping[str, Any], held: Row, now: datetime) -> dict[str, Any]:
    """What a change says of the job, with the times that follow from its state."""
    facts = {_COLUMNS[name]: value for name, value in values.items() if name in _COLUMNS}
    state = facts.get("state")
    if state == "running" and held["start_at"] is None:
        facts.setdefault("start_at", now)
    if state in ENDS and held["end_at"] is None:
        facts.setdefault("end_at", now)
    start, end = facts.get("start_at", held["start_at"]), facts.get("end_at")
    if start is not None and end is not None and end < start:
        rule = "must not be before the start"
        raise ValidationError(f"end_time {rule}", field="end_time", rule=rule)
    return facts


async def _tell(
    connection: Connection,
    job_key: int,
    facts: Mapping[str, Any],
    now: datetime,
    audit: Audit,
    payload: str,
) -> None:
    if facts:
        text = orjson.dumps(facts).decode()
        await connection.execute("tell_job", job_key, now, text, "updated", *audit, payload)


def _kept(held: str, asked: str) -> str:
    if held in (*ENDS, "unknown"):
        return TERMINAL
    return f"Job is {held} and cannot become {asked}"
