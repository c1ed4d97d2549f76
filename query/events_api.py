"""GET /v1/jobs/{id}/events: the audit trail of one job."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from query.paramkinds import integer
from query.params import Parameter, read_params
from tsobs.answers import json_response
from tsobs.db import Database
from tsobs.jobs.findjob import find_job
from tsobs.jobs.jobobject import present
from tsobs.row import Row
from tsobs.viewer import VIEWER

__all__ = ["EVENTS_PARAMETERS", "JobEventsHandler"]

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_BIGINT = 2**63 - 1

EVENTS_PARAMETERS = (
    Parameter("limit", integer(1, MAX_LIMIT, DEFAULT_LIMIT), "how many events at most"),
    Parameter("cursor", integer(1, MAX_BIGINT), "the next_cursor of the page before"),
)


class JobEventsHandler:
    """Events of jobs that the viewer may see."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, request: web.Request) -> web.StreamResponse:
        """A page of what changed, oldest first."""
        asked = read_params(request.query, EVENTS_PARAMETERS)
        limit = asked["limit"] or DEFAULT_LIMIT
        async with self._database.transaction(readonly=True) as connection:
            await connection.execute("plan_for_values")
            job = await find_job(connection, request[VIEWER], request.match_info["id"])
            key = job["job_key"]
            rows = await connection.fetch("job_events", key, asked["cursor"] or 0, limit + 1)
            total = await connection.fetchval("count_job_events", key)
        answer = {
            "job_id": job["job_id"],
            "key": key,
            "cluster": job["cluster"],
            "events": [_event(row) for row in rows[:limit]],
            "total": total,
            "limit": limit,
        }
        if len(rows) > limit:
            answer["next_cursor"] = str(rows[limit - 1]["event_id"])
        return json_response(answer)


def _event(row: Row) -> dict[str, Any]:
    return present(
        {
            "event_id": row["event_id"],
            "changed_at": row["at"],
            "kind": row["kind"],
            "changed_by": row["actor"],
            "source": row["source"],
            "correlation_id": row["correlation_id"],
            "rank": row["rank"],
            "old": _json(row["old"]),
            "new": _json(row["new"]),
            "payload": _json(row["payload"]),
        }
    )


def _json(text: str | None) -> orjson.Fragment | None:
    """The database's JSON as it is; its numbers may be larger than Python would keep."""
    return None if text is None else orjson.Fragment(text)
