"""GET /v1/jobs/{id}/metrics: what a job used over time."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from aiohttp import web

from query.paramkinds import choice, integer, time
from query.params import Parameter, read_params, refused
from tsobs.answers import json_response
from tsobs.db import Connection, Database
from tsobs.jobs.coverage import FULL_COVERAGE
from tsobs.jobs.findjob import find_job
from tsobs.jobs.quantities import mebibytes, percent, ratio_of
from tsobs.row import Row
from tsobs.viewer import VIEWER

__all__ = ["SERIES_PARAMETERS", "SOURCES", "SeriesHandler", "choose_step"]

DEFAULT_LIMIT = 1000
MAX_LIMIT = 10_000
MAX_STEP_S = 31 * 86_400
# Steps that fit hours and days, in seconds; the last is taken for whatever is longer.
STEPS_S = (1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)
DAY_S = 86_400


SOURCES = ("sampled", "reported")
SERIES_PARAMETERS = (
    Parameter("start_time", time(), "samples at or after this time"),
    Parameter("end_time", time(), "samples at or before this time"),
    Parameter(
        "step",
        integer(1, MAX_STEP_S),
        "seconds that each sample tells of; unless told, the shortest that keeps to the limit, and "
        "what clients posted as it was posted",
    ),
    Parameter("limit", integer(1, MAX_LIMIT, DEFAULT_LIMIT), "how many samples at most"),
    Parameter("by", choice(("node",)), "a sample for each node"),
    Parameter(
        "source",
        choice(SOURCES),
        "what agents sampled or what clients posted, which is about whole jobs and has nothing by "
        "node; unless told, the first where there is any",
    ),
)


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
    source: str | None


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
            is_sampled = usage is not None and usage["last_sample_at"] is not None
            if asked.source == "reported" or not (asked.source or asked.by_node or is_sampled):
                source, step_s = "reported", asked.step_s
                rows = await _fetch_reported(connection, job, asked)
            else:
                source = "sampled"
                step_s, rows = await _fetch_sampled(connection, job, usage, asked)
        nodes = 1 if asked.by_node else _node_count(job, usage)
        make = _reported_sample if source == "reported" else partial(_sample, nodes=nodes)
        answer = {
            "job_id": job["job_id"],
            "key": job["job_key"],
            "cluster": job["cluster"],
            "source": source,
            "samples": [make(row) for row in rows],
            "total": rows[0]["total"] if rows else 0,
            "limit": asked.limit,
            "step_seconds": step_s,
        }
        return json_response(answer)


def _read(request: web.Request) -> Asked:
    asked = read_params(request.query, SERIES_PARAMETERS)
    start, end = asked["start_time"], asked["end_time"]
    if start is not None and end is not None and start > end:
        raise refused("start_time", "must not be after end_time")
    return Asked(
        start=start,
        end=end,
        step_s=asked["step"],
        limit=asked["limit"] or DEFAULT_LIMIT,
        by_node=asked["by"] is not None,
        source=asked["source"],
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


async def _fetch_sampled(
    connection: Connection, job: Row, usage: Row | None, asked: Asked
) -> tuple[int | None, list[Row]]:
    """The step, and buckets of what agents sampled."""
    span = _span(job, usage, asked)
    if usage is None or span is None:
        return asked.step_s, []
    step_s = asked.step_s or choose_step(span, usage["interval_s"], asked.limit)
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
    return step_s, [*rows]


async def _fetch_reported(connection: Connection, job: Row, asked: Asked) -> list[Row]:
    step_s = None if asked.step_s is None else float(asked.step_s)
    rows = await connection.fetch(
        "job_reported_series", job["job_key"], asked.start, asked.end, step_s, asked.limit
    )
    return [] if asked.by_node else [*rows]


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


def _reported_sample(row: Row) -> dict[str, Any]:
    return {
        "timestamp": row["ends_at"],
        "cpu_usage": percent(row["cpu_usage_ratio"]),
        "memory_usage_mb": mebibytes(row["memory_used_bytes"]),
        "gpu_usage": percent(row["gpu_utilization_ratio"]),
        "cpu_usage_ratio": row["cpu_usage_ratio"],
        "memory_used_bytes": row["memory_used_bytes"],
        "gpu_usage_ratio": row["gpu_utilization_ratio"],
    }


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
