"""Reads what jobs used and makes their JSON objects, for whoever may run statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tsobs.db import Connection
from tsobs.jobs.jobobject import job_object
from tsobs.row import Row

__all__ = ["describe_job", "describe_jobs"]


async def describe_jobs(connection: Connection, jobs: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows of jobs as JSON objects with what they used: as sampled, else as clients posted it."""
    keys = [job["job_key"] for job in jobs]
    usage = {row["job_key"]: row for row in await connection.fetch("job_usage", keys)}
    gpus = {row["job_key"]: row for row in await connection.fetch("job_gpu_usage", keys)}
    rest = [key for key in keys if key not in usage or not usage[key]["sample_count"]]
    reported: dict[int, Row] = {}
    if rest:
        found = await connection.fetch("job_reported_usage", rest)
        reported = {row["job_key"]: row for row in found}
    return [
        job_object(
            job,
            usage.get(job["job_key"]),
            gpus.get(job["job_key"]),
            reported.get(job["job_key"]),
        )
        for job in jobs
    ]


async def describe_job(connection: Connection, job_key: int) -> dict[str, Any]:
    """One run by its key."""
    [answer] = await describe_jobs(connection, await connection.fetch("job_by_key", job_key))
    return answer
