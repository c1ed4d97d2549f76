"""What the demo says once it is ready: what is real, what is not, and what to try."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tsobs.demo.agent import CLUSTER as LOCAL
from tsobs.demo.client import Client
from tsobs.demo.localjob import CPU_SHARE, HELD_BYTES
from tsobs.demo.simulation.cluster import CLUSTER
from tsobs.demo.simulation.world import World

__all__ = ["Real", "Simulated", "ask_simulated", "greeting"]

_MIB = 1 << 20


class Real(NamedTuple):
    """This host: its node name, and its job or why there is none."""

    host: str
    local_job: int | None
    why_none: str | None


class Simulated(NamedTuple):
    """How much there is of what is simulated; `died` is a job that ran out of memory."""

    nodes: int
    gpus: int
    running: int
    jobs: int
    died: str | None


async def ask_simulated(client: Client, world: World) -> Simulated:
    """Asks the service, like anybody, what it knows of the simulated jobs."""
    everything = await client.get(f"/v1/jobs?cluster={CLUSTER}&limit=1")
    running = await client.get(f"/v1/jobs?cluster={CLUSTER}&state=running&limit=1")
    failed = await client.get(f"/v1/jobs?cluster={CLUSTER}&state=failed&limit=1000")
    return Simulated(
        nodes=len(world.nodes),
        gpus=sum(len(node.gpus) for node in world.nodes),
        running=running["total"],
        jobs=everything["total"],
        died=_newest_out_of_memory(failed),
    )


def _newest_out_of_memory(failed: Mapping[str, Any]) -> str | None:
    for job in failed["jobs"]:
        if job.get("state_reason") == "out_of_memory":
            return str(job["id"])
    return None


def greeting(
    url: str,
    took_s: float,
    *,
    real: Real | None,
    simulated: Simulated,
    has_tokens: bool,
    folder: Path,
) -> str:
    """The text; `folder` holds the data."""
    data_dir = shlex.quote(str(folder))
    lines = [
        "",
        f"tsobs is ready at {url}   (after {math.ceil(took_s)} s; Ctrl-C stops it all)",
        "",
        *_real(real),
        f'SIMULATED  cluster "{CLUSTER}": {simulated.nodes} nodes, {simulated.gpus} GPUs; '
        f"{simulated.jobs:,} jobs, {simulated.running:,} of them running",
        "           its nodes, users, jobs and all their numbers are made up",
        "",
        "Try (it asks for one of the tokens that were made: add -H 'Authorization: Bearer …'):"
        if has_tokens
        else "Try:",
        f"  curl -s '{url}/v1/jobs?state=running&limit=3' | python3 -m json.tool",
        f"  curl -s {url}/metrics | grep ^hpc_job_gpu_usage_percent   # who idles a GPU?",
        _why(url, simulated),
        "",
        f"Data: {folder} (tsobs demo --fresh begins anew)",
        f"SQL:  tsobs db psql --data-dir {data_dir}",
        "",
    ]
    return "\n".join(lines)


def _real(real: Real | None) -> list[str]:
    if real is None:
        return ["REAL       nothing: there is no agent"]
    job = f"no job of its own: {real.why_none}"
    if real.local_job is not None:
        job = (
            f"job {real.local_job} in a real cgroup burns {CPU_SHARE:.0%} of one CPU and holds "
            f"{HELD_BYTES // _MIB} MiB"
        )
    return [
        f'REAL       cluster "{LOCAL}": this host, node {real.host}, read by an agent every 15 s',
        f"           {job}",
    ]


def _why(url: str, simulated: Simulated) -> str:
    if simulated.died is None:
        return f"  curl -s {url}/v1/nodes | python3 -m json.tool"
    return f"  curl -s {url}/v1/jobs/{simulated.died} | python3 -m json.tool   # why did it die?"
