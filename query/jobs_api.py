"""GET /v1/jobs and /v1/jobs/{id}."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from query.exposition import Row
from query.findjob import find_job
from query.jobcounts import STATES
from query.jobobject import gpu_object, job_object, node_object
from query.params import Params
from tsobs.answers import json_response
from tsobs.db import Connection, Database
from tsobs.errors import InvalidRequest
from tsobs.viewer import VIEWER

__all__ = ["JobsHandler"]

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_BIGINT = 2**63 - 1
# Counting stops here: beyond it a total is a lower bound.
MAX_TOTAL = 10_000


class JobsHandler:
    """Jobs that the viewer may see; deleted ones are not there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, request: web.Request) -> web.StreamResponse:
        """A page of jobs, those seen last first."""
        known = ("state", "user", "node", "cluster", "limit", "cursor", "offset")
        params = Params(request.query, known)
        limit = params.integer("limit", 1, MAX_LIMIT) or DEFAULT_LIMIT
        offset = params.integer("offset", 0) or 0
        cursor = params.integer("cursor", 1, MAX_BIGINT)
        if offset and cursor is not None:
            rule = "must not come with cursor"
            raise InvalidRequest(f"parameter offset {rule}", parameter="offset", rule=rule)
        filters = (
            request[VIEWER].cluster,
            request[VIEWER].user,
            params.text("cluster"),
            params.text("user"),
            params.choice("state", STATES),
            params.text("node"),
        )
        async with self._database.transaction(readonly=True) as connection:
            await connection.execute("plan_for_values")
            # One more than asked for tells whether there is a next page.
            rows = await connection.fetch("list_jobs", *filters, cursor, limit + 1, offset)
            found = await connection.fetchval("count_jobs", *filters, MAX_TOTAL + 1)
            page = rows[:limit]
            jobs = await job_objects(connection, page)
        answer = {"jobs": jobs, "total": min(found, MAX_TOTAL), "limit": limit, "offset": offset}
        if found > MAX_TOTAL:
            answer["total_is_lower_bound"] = True
        if len(rows) > limit:
            answer["next_cursor"] = str(page[-1]["job_key"])
        return json_response(answer)

    async def one(self, request: web.Request) -> web.StreamResponse:
        """One run of one job, with what it used on each node and GPU."""
        Params(request.query, ())
        async with self._database.transaction(readonly=True) as connection:
            await connection.execute("plan_for_values")
            job = await find_job(connection, request[VIEWER], request.match_info["id"])
            [answer] = await job_objects(connection, [job])
            on_nodes = await connection.fetch("job_nodes", job["job_key"])
            on_gpus = await connection.fetch("job_gpus", job["job_key"])
        answer["per_node"] = [node_object(row) for row in on_nodes]
        answer["per_gpu"] = [gpu_object(row) for row in on_gpus]
        return json_response(answer)


async def job_objects(connection: Connection, jobs: Sequence[Row]) -> list[dict[str, Any]]:
    """Jobs as JSON objects, with what they used."""
    keys = [job["job_key"] for job in jobs]
    usage = {row["job_key"]: row for row in await connection.fetch("job_usage", keys)}
    gpus = {row["job_key"]: row for row in await connection.fetch("job_gpu_usage", keys)}
    return [job_object(job, usage.get(job["job_key"]), gpus.get(job["job_key"])) for job in jobs]
