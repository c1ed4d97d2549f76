"""GET /v1/jobs and /v1/jobs/{id}."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from aiohttp import web

from query.cursor import Cursor, read_cursor, write_cursor
from query.jobcounts import STATES
from query.paramkinds import choice, integer, names, text, time
from query.params import Parameter, read_params, refused
from tsobs.answers import json_response
from tsobs.db import Database
from tsobs.jobs.describe import describe_jobs
from tsobs.jobs.findjob import find_job
from tsobs.jobs.jobobject import gpu_object, node_object
from tsobs.jobs.jobschema import DETAIL_FIELDS, JOB_FIELDS
from tsobs.viewer import VIEWER, Viewer

__all__ = ["LIST_PARAMETERS", "ONE_PARAMETERS", "JobsHandler"]

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_OFFSET = 2**53
# The longest value that is sorted by, every letter of it escaped, and packed.
MAX_CURSOR = 4096
# Counting stops here: beyond it a total is a lower bound.
MAX_TOTAL = 10_000

# Each has an index of its own.
SORTS = {
    "key": "job_key",
    "start_time": "start_at",
    "end_time": "end_at",
    "user": "user_name",
    "account": "account",
    "partition": "partition",
    "name": "name",
    "state": "state",
}
DEFAULT_SORT = "-key"
_TIMES = ("start_at", "end_at")

FILTERS = (
    Parameter("state", choice(STATES), "jobs in this state"),
    Parameter("user", text(), "jobs of this user"),
    Parameter("account", text(), "jobs of this account"),
    Parameter("partition", text(), "jobs in this partition"),
    Parameter("name", text(), "jobs of this name"),
    Parameter("node", text(), "jobs on this node"),
    Parameter("cluster", text(), "jobs of this cluster"),
    Parameter("scheduler", text(), "jobs of this scheduler"),
    Parameter("start_time", time(), "jobs that ran at or after this time, those that run included"),
    Parameter("end_time", time(), "jobs that ran at or before this time"),
    Parameter("started_after", time(), "jobs that started at or after this time"),
    Parameter("started_before", time(), "jobs that started at or before this time"),
    Parameter("ended_after", time(), "jobs that ended at or after this time"),
    Parameter("ended_before", time(), "jobs that ended at or before this time"),
)
LIST_PARAMETERS = (
    *FILTERS,
    Parameter(
        "sort",
        choice([sign + name for name in SORTS for sign in ("", "-")]),
        f"the order, `-` for descending, {DEFAULT_SORT} unless told; jobs that are equal in it are "
        "in the order of their key, and what is not known counts as greater than all",
    ),
    Parameter("fields", names(JOB_FIELDS), "only these fields of each job"),
    Parameter("limit", integer(1, MAX_LIMIT, DEFAULT_LIMIT), "how many jobs at most"),
    Parameter("cursor", text(MAX_CURSOR), "the next_cursor of the page before"),
    Parameter("offset", integer(0, MAX_OFFSET, 0), "how many jobs to skip; not with cursor"),
)
ONE_PARAMETERS = (Parameter("fields", names(DETAIL_FIELDS), "only these fields of the job"),)


class JobsHandler:
    """Jobs that the viewer may see; deleted ones are not there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, request: web.Request) -> web.StreamResponse:
        """A page of jobs."""
        asked = read_params(request.query, LIST_PARAMETERS)
        filters = _filters(asked, request[VIEWER])
        sort = asked["sort"] or DEFAULT_SORT
        column, after = SORTS[sort.lstrip("-")], _after(asked, sort)
        limit, offset = asked["limit"] or DEFAULT_LIMIT, asked["offset"] or 0
        async with self._database.transaction(readonly=True) as connection:
            found = await connection.fetchval("count_jobs", filters, MAX_TOTAL + 1)
            # One more than asked for tells whether there is a next page.
            page = await connection.fetch(
                "list_jobs",
                filters,
                column,
                sort.startswith("-"),
                *after,
                limit + 1,
                offset,
                found <= MAX_TOTAL,
            )
            jobs = await describe_jobs(connection, page[:limit])
        answer = {
            "jobs": [_projected(job, asked["fields"]) for job in jobs],
            "total": min(found, MAX_TOTAL),
            "limit": limit,
            "offset": offset,
        }
        if found > MAX_TOTAL:
            answer["total_is_lower_bound"] = True
        if len(page) > limit:
            last = page[limit - 1]
            answer["next_cursor"] = write_cursor(Cursor(sort, last["job_key"], last["sort_value"]))
        return json_response(answer)

    async def one(self, request: web.Request) -> web.StreamResponse:
        """One run of one job, with what it used on each node and GPU."""
        asked = read_params(request.query, ONE_PARAMETERS)
        async with self._database.transaction(readonly=True) as connection:
            await connection.execute("plan_for_values")
            job = await find_job(connection, request[VIEWER], request.match_info["id"])
            [answer] = await describe_jobs(connection, [job])
            on_nodes = await connection.fetch("job_nodes", job["job_key"])
            on_gpus = await connection.fetch("job_gpus", job["job_key"])
        answer["per_node"] = [node_object(row) for row in on_nodes]
        answer["per_gpu"] = [gpu_object(row) for row in on_gpus]
        return json_response(_projected(answer, asked["fields"]))


def _filters(asked: Mapping[str, Any], viewer: Viewer) -> str:
    given = {parameter.name: asked[parameter.name] for parameter in FILTERS}
    given |= {"bound_cluster": viewer.cluster, "bound_user": viewer.user}
    if (start := given["start_time"]) and (end := given["end_time"]) and start > end:
        raise refused("start_time", "must not be after end_time")
    told = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in given.items()
        if value is not None
    }
    return orjson.dumps(told).decode()


def _after(asked: Mapping[str, Any], sort: str) -> tuple[int | None, str | None]:
    """Key and sort value of the row that the page begins after."""
    if asked["cursor"] is None:
        return None, None
    if asked["offset"]:
        raise refused("offset", "must not come with cursor")
    try:
        is_time = SORTS[sort.lstrip("-")] in _TIMES
        cursor = read_cursor(asked["cursor"], sort, is_time=is_time)
    except ValueError as error:
        raise refused("cursor", str(error)) from error
    return cursor.key, cursor.value


def _projected(job: dict[str, Any], fields: tuple[str, ...] | None) -> dict[str, Any]:
    return job if fields is None else {name: job[name] for name in fields if name in job}
