"""Runs with just the properties that a test is about."""

from __future__ import annotations

from tsobs.demo.simulation.cluster import GIB
from tsobs.demo.simulation.job import Job, Place, Run
from tsobs.demo.simulation.kinds import Fate

START = 1_000


def make_run(
    kind: str = "monte-carlo",
    *,
    job_id: int = 7,
    start: int = START,
    run_s: int = 1800,
    fate: Fate = "completed",
    cpus: int = 8,
    nodes: int = 1,
    gpus: int = 0,
    first_node: int = 0,
    salt: int = 5,
) -> Run:
    """A run on the first nodes, with the first GPUs."""
    job = Job(
        job_id=job_id,
        kind_name=kind,
        stream=0,
        user=0,
        nodes=nodes,
        cpus=cpus,
        memory_bytes=16 * GIB,
        gpus=gpus,
        submit_at=start - 10,
        time_limit_s=7200,
        run_s=run_s,
        fate=fate,
        exit_code=0,
        signal=9 if fate == "out_of_memory" else 0,
        salt=salt,
    )
    places = tuple(Place(first_node + n, tuple(range(gpus))) for n in range(nodes))
    return Run(job, start, places)
