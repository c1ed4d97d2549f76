"""What a scheduler's hooks would say of the simulated jobs: bodies for the two event routes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tsobs.demo.simulation.cluster import CLUSTER, Node
from tsobs.demo.simulation.job import Run
from tsobs.demo.simulation.kinds import USERS

__all__ = ["SCHEDULER", "finished_event", "started_event"]

# No real scheduler is behind it, and the jobs say so.
SCHEDULER = "mock"
_SOURCE = "controller"
_MIB = 1 << 20
# Fate: (final_state, raw_state)
_ENDINGS = {
    "completed": ("completed", "COMPLETED"),
    "failed": ("failed", "FAILED"),
    "out_of_memory": ("failed", "OUT_OF_MEMORY"),
    "timeout": ("failed", "TIMEOUT"),
    "cancelled": ("cancelled", "CANCELLED"),
    "node_fail": ("failed", "NODE_FAIL"),
}


def started_event(run: Run, nodes: Sequence[Node]) -> dict[str, Any]:
    """The body of job-started."""
    job, kind = run.job, run.job.kind
    user = USERS[job.user]
    body: dict[str, Any] = {
        **_common(run),
        "timestamp": _iso(run.start_at),
        "user": user.name,
        "account": user.account,
        "node_list": [nodes[place.node].name for place in run.places],
        "name": kind.name,
        "partition": kind.partition,
        "qos": "normal",
        "submit_time": _iso(job.submit_at),
        "time_limit_s": job.time_limit_s,
        "cpu_allocation": job.cpus * job.nodes,
        "memory_allocation_mb": job.memory_bytes * job.nodes // _MIB,
        "raw_state": "RUNNING",
    }
    if job.gpus:
        held = [nodes[place.node].gpus[gpu] for place in run.places for gpu in place.gpus]
        body |= {"gpu_allocation": len(held), "gpu_vendor": "nvidia", "gpu_devices": held}
    return body


def finished_event(run: Run) -> dict[str, Any]:
    """The body of job-finished."""
    state, raw_state = _ENDINGS[run.job.fate]
    return {
        **_common(run),
        "timestamp": _iso(run.end_at),
        "end_time": _iso(run.end_at),
        "final_state": state,
        "raw_state": raw_state,
        "exit_code": run.job.exit_code,
        "signal": run.job.signal,
    }


def _common(run: Run) -> dict[str, Any]:
    job = run.job
    body: dict[str, Any] = {
        "job_id": str(job.job_id),
        "cluster": CLUSTER,
        "scheduler": SCHEDULER,
        "source": _SOURCE,
        "start_time": _iso(run.start_at),
    }
    if job.array_job_id is not None:
        body["array_job_id"] = str(job.array_job_id)
        body["array_task_id"] = str(job.array_task_id)
    return body


def _iso(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()
