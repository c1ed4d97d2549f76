"""GET /v1/nodes."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from query.paramkinds import integer, text
from query.params import Parameter, read_params
from tsobs.answers import json_response
from tsobs.db import Database
from tsobs.jobs.jobobject import present
from tsobs.jobs.quantities import percent
from tsobs.row import Row
from tsobs.viewer import VIEWER

__all__ = ["NODES_PARAMETERS", "NodesHandler"]

DEFAULT_LIMIT = 1000
MAX_LIMIT = 10_000
MAX_INT = 2**31 - 1

NODES_PARAMETERS = (
    Parameter("cluster", text(), "nodes of this cluster"),
    Parameter("limit", integer(1, MAX_LIMIT, DEFAULT_LIMIT), "how many nodes at most"),
    Parameter("cursor", integer(1, MAX_INT), "the next_cursor of the page before"),
)


class NodesHandler:
    """Nodes with their newest values; a viewer bound to a user sees its own jobs counted only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, request: web.Request) -> web.StreamResponse:
        """A page of nodes by cluster and name."""
        asked = read_params(request.query, NODES_PARAMETERS)
        limit, cursor = asked["limit"] or DEFAULT_LIMIT, asked["cursor"]
        cluster, viewer = asked["cluster"], request[VIEWER]
        async with self._database.transaction(readonly=True) as connection:
            await connection.execute("plan_for_values")
            rows = await connection.fetch(
                "list_nodes", viewer.cluster, viewer.user, cluster, cursor, limit + 1
            )
            total = await connection.fetchval("count_nodes", viewer.cluster, cluster)
        page = rows[:limit]
        answer = {"nodes": [_node(row) for row in page], "total": total, "limit": limit}
        if len(rows) > limit:
            answer["next_cursor"] = str(page[-1]["node_id"])
        return json_response(answer)


def _node(row: Row) -> dict[str, Any]:
    return present(
        {
            "node": row["node"],
            "cluster": row["cluster"],
            "aliases": row["aliases"] or None,
            "alive": bool(row["is_alive"]),
            "job_count": row["jobs"],
            "first_seen_at": row["first_seen_at"],
            "last_sample_at": row["last_sample_at"],
            "sample_count": row["sample_count"],
            "interval_seconds": row["interval_s"],
            "agent_version": row["agent_version"],
            "cpus": row["cpus"],
            "cpu_usage": percent(row["cpu_usage_ratio"]),
            "load1": row["load1"],
            "load5": row["load5"],
            "load15": row["load15"],
            "memory_total_bytes": row["memory_total_bytes"],
            "memory_available_bytes": row["memory_available_bytes"],
            "memory_free_bytes": row["memory_free_bytes"],
            "memory_cached_bytes": row["memory_cached_bytes"],
            "swap_total_bytes": row["swap_total_bytes"],
            "swap_free_bytes": row["swap_free_bytes"],
            "processes": row["processes"],
            "processes_running": row["processes_running"],
            "power_watts": row["power_w"],
            "gpu_count": row["gpus"],
            "gpu_usage": percent(row["gpu_utilization_ratio"]),
        }
    )
