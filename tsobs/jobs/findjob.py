"""From the id in a path to one run of one job, or the reason why not."""

from __future__ import annotations

from tsobs.db import Connection
from tsobs.errors import Conflict, NotFound
from tsobs.jobs.jobref import exact_id, parse_job_id
from tsobs.row import Row
from tsobs.viewer import Viewer

__all__ = ["find_job"]


async def find_job(connection: Connection, viewer: Viewer, text: str) -> Row:
    """The newest run that an id means; raises NotFound, also for what the viewer may not see, and
    Conflict when several clusters have such a job."""
    ref = parse_job_id(text)
    rows = await connection.fetch(
        "find_jobs",
        viewer.cluster,
        viewer.user,
        ref.cluster,
        ref.job_id,
        ref.scheduler,
        ref.prefixed_job_id,
        ref.array_job_id,
        ref.array_task_id,
        ref.het_job_id,
        ref.het_offset,
        ref.restart_count,
        ref.run,
    )
    if not rows:
        raise NotFound("Job not found", id=text)
    closest = [row for row in rows if row["likeness"] == rows[0]["likeness"]]
    newest = {row["cluster"]: row for row in reversed(closest)}
    if len(newest) > 1:
        candidates = sorted(
            exact_id(row["cluster"], row["job_id"], row["restart_count"], row["run"])
            for row in newest.values()
        )
        raise Conflict(
            f"{len(newest)} clusters have a job {text}: ask for one of the candidates",
            id=text,
            candidates=candidates,
        )
    return rows[0]
