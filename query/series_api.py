"""GET /v1/jobs/{id}/metrics: what a job used over time."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from aiohttp import web

from query.coverage import FULL_COVERAGE
from query.exposition import Row
from query.findjob import find_job
from query.params import Params
from query.quantities import mebibytes, percent, ratio_of
from tsobs.answers import json_response
from tsobs.db import Connection, Database
from tsobs.errors import InvalidRequest
from tsobs.viewer import VIEWER

__all__ = ["SeriesHandler", "choose_step"]

DEFAULT_LIMIT = 1000
MAX_LIMIT = 10_000
MAX_STEP_S = 31 * 86_400
# Steps that fit hours and days, in seconds; the last is taken for whatever is longer.
STEPS_S = (1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)
DAY_S = 86_400


class Span(NamedTuple):
    """The time that samples are read for (both ends inclusive), and when the job began in it."""

    start: datetime
    end: datetime
    covered_from: datetime


class Asked(NamedTuple):
    """The parameters of a request."""

    start: datetime | None
    end: datetime | None
    step_s: int | None
    limit: int
    by_node: bool


class SeriesHandler:
    """Series of jobs that the viewer may see, from raw samples."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def series(self, request: web.Request) -> web.StreamResponse:
        """Samples of a job over all its nodes, or by node, newest first."""
        asked = _read(request)
        async with self._database.transaction(readonly=True) as connection:
            await connection.execute("plan_for_values")
            job = await find_job(connection, request[VIEWER], request.match_info["id"])
            usage: Row | None = await connection.fetchrow("job_usage", [job["job_key"]])
            span = _span(job, usage, asked)
            step_s, rows = asked.step_s, list[Row]()
            if usage is not None and span is not None:
                step_s = step_s or choose_step(span, usage["interval_s"], asked.limit)
                rows = await _fetch(connection, job, span, step_s, asked)
        nodes = 1 if asked.by_node else _node_count(job, usage)
        answer = {
            "job_id": job["job_id"],
            "key": job["job_key"],
            "cluster": job["cluster"],
            "samples": [_sample(row, nodes) for row in rows],
            "total": rows[0]["total"] if rows else 0,
            "limit": asked.limit,
            "step_seconds": step_s,
        }
        return json_response(answer)


def _read(request: web.Request) -> Asked:
    params = Params(request.query, ("start_time", "end_time", "step", "limit", "by"))
    start, end = params.time("start_time"), params.time("end_time")
    if start is not None and end is not None and start > end:
        rule = "must not be after end_time"
        raise InvalidRequest(f"parameter start_time {rule}", parameter="start_time", rule=rule)
    return Asked(
        start=start,
        end=end,
        step_s=params.integer("step", 1, MAX_STEP_S),
        limit=params.integer("limit", 1, MAX_LIMIT) or DEFAULT_LIMIT,
        by_node=params.choice("by", ("node",)) is not None,
    )


def _span(job: Row, usage: Row | None, asked: Asked) -> Span | None:
    """What was asked for, cut to where the job has samples; None when nothing is left."""
    if usage is None or usage["last_sample_at"] is None:
        return None
    first: datetime = usage["first_sample_at"]
    last: datetime = usage["last_sample_at"]
    began: datetime = job["start_at"] or usage["first_interval_at"] or first
    start = max(first, asked.start) if asked.start else first
    end = min(last, asked.end) if asked.end else last
    covered_from = max(began, asked.start) if asked.start else began
    return Span(start, end, covered_from) if start <= end else None


def choose_step(span: Span, interval_s: float | None, limit: int) -> int:
    """The shortest usual step, not below the samples' interval, that keeps to `limit`."""
    wanted_s = max((span.end - span.covered_from) / timedelta(seconds=limit), interval_s or 0)
    usual = [step for step in STEPS_S if step >= wanted_s]
    return usual[0] if usual else DAY_S * math.ceil(wanted_s / DAY_S)


async def _fetch(
    connection: Connection, job: Row, span: Span, step_s: int, asked: Asked
) -> list[Row]:
    rows = await connection.fetch(
        "job_series",
        job["job_key"],
        span.start,
        span.end,
        float(step_s),
        asked.by_node,
        asked.limit,
        span.covered_from,
    )
    return [*rows]


def _node_count(job: Row, usage: Row | None) -> int:
    return max(len(job["nodes"] or ()), len(usage["sampled_nodes"]) if usage else 0)


def _sample(row: Row, nodes: int) -> dict[str, Any]:
    """One bucket; null is "not known" and stays."""
    sample = {
        "timestamp": row["ends_at"],
        "cpu_usage": percent(row["cpu_usage_ratio"]),
        "memory_usage_mb": mebibytes(row["memory_used_bytes"]),
        "gpu_usage": percent(row["gpu_utilization_ratio"]),
        "cpu_usage_ratio": row["cpu_usage_ratio"],
        "cpu_seconds": row["cpu_s"],
        "memory_used_bytes": row["memory_used_bytes"],
        "memory_rss_bytes": row["memory_rss_bytes"],
        "io_read_bytes": row["io_read_bytes"],
        "io_write_bytes": row["io_write_bytes"],
        "energy_joules": row["energy_j"],
        "gpu_usage_ratio": row["gpu_utilization_ratio"],
        "gpu_memory_used_bytes": row["gpu_memory_used_bytes"],
        "gpu_energy_joules": row["gpu_energy_j"],
    }
    if row["node"] is not None:
        sample["node"] = row["node"]
    if (covered := _coverage(row, nodes)) is not None:
        sample["coverage"] = covered
    return sample


def _coverage(row: Row, nodes: int) -> float | None:
    """The least share of the bucket for which an answer in it is known; None when nearly all."""
    expected_s = nodes * (row["span_s"] or 0.0)
    known = [
        ratio_of(row["cpu_covered_s"], expected_s) if row["cpu_usage_ratio"] is not None else None,
        ratio_of(row["memory_covered_s"], expected_s),
        row["gpu_covered_ratio"],
    ]
    least = min((share for share in known if share is not None), default=1.0)
    return least if least < FULL_COVERAGE else None
