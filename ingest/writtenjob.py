"""The job that a client's write names: found, allowed and locked."""

from __future__ import annotations

from aiohttp import web

from ingest.bounds import check_cluster
from tsobs.db import Connection
from tsobs.errors import Forbidden, NotFound
from tsobs.jobs.findjob import find_job
from tsobs.row import Row
from tsobs.viewer import VIEWER, Viewer

__all__ = ["ENDS", "TERMINAL", "check_writer", "lock_named_job"]

# A state that was told; `unknown` is one that we concluded, and anybody knows better.
ENDS = ("completed", "failed", "cancelled")
TERMINAL = "Job is in terminal state and cannot be updated"


def check_writer(viewer: Viewer, cluster: str) -> None:
    """Raises Forbidden for a job that is not within the bounds of the writer's token; a token that
    is bound to a user only reads."""
    check_cluster(viewer, cluster)
    _check_node(viewer)


def _check_node(viewer: Viewer) -> None:
    if viewer.node is not None:
        raise Forbidden(
            f"this token writes for node {viewer.node} only, and this is about whole jobs",
            field="node",
            rule="a token that is not bound to a node",
        )


async def lock_named_job(connection: Connection, request: web.Request) -> tuple[int, Row]:
    """The key, and the state and times, of the run that the path names, locked until the end of the
    transaction; raises NotFound, Conflict or Forbidden."""
    viewer, name = request[VIEWER], request.match_info["id"]
    _check_node(viewer)
    await connection.execute("plan_for_values")
    job_key: int = (await find_job(connection, viewer, name))["job_key"]
    held = await connection.fetchrow("lock_job", job_key)
    if held is None:
        raise NotFound("Job not found", id=name)
    return job_key, held
