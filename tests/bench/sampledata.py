"""Rows for benchmarks: every column filled, values of the size that real ones have."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tsobs.columns import TABLES, Column, Kind

__all__ = ["batch", "copy_rows"]

INTERVAL_S = 15.0
# One start for all batches of a job, as an agent has it: another start is another job to resolve.
STARTED_AT = time.time() - 3600.0 * 5


def _value(column: Column, source: random.Random) -> float:
    name = column.name
    if name.endswith("_bytes"):
        return float(source.randrange(1 << 20, 1 << 36))
    if name.endswith("_ratio"):
        return source.random()
    if name.endswith("_s"):
        return round(source.uniform(0, 4 * INTERVAL_S), 6)
    if column.kind is Kind.DELTA:
        return float(source.randrange(100_000))
    return round(source.uniform(1, 128), 2)


def batch(
    *, node: str, seq: int, jobs: int, intervals: int, now: float, node_rows: int, seed: int
) -> dict[str, Any]:
    """One agent's batch: `jobs` × `intervals` job rows and `node_rows` node rows that end at
    `now`."""
    source = random.Random(seed)
    tables: dict[str, Any] = {}
    counts = {"job_sample": (jobs, intervals), "node_sample": (1, node_rows)}
    for name, (things, times) in counts.items():
        if not times:
            continue
        n = things * times
        columns: dict[str, Sequence[Any]] = {
            "time": [now - INTERVAL_S * (times - 1 - i // things) for i in range(n)],
            "interval_s": [INTERVAL_S] * n,
        }
        if name == "job_sample":
            columns["job"] = [i % things for i in range(n)]
        for column in TABLES[name].columns:
            columns[column.name] = [_value(column, source) for _ in range(n)]
        tables[name] = columns
    return {
        "stream": uuid.UUID(int=source.getrandbits(128)).hex,
        "seq": seq,
        "machine_id": f"bench-{node}",
        "cluster": "bench",
        "node": {"name": node},
        "jobs": {
            "scheduler": ["slurm"] * jobs,
            "job_id": [f"{node}-{job}" for job in range(jobs)],
            "started_at": [STARTED_AT] * jobs,
            "user_name": ["alice"] * jobs,
            "cpus": [4.0] * jobs,
        },
        "tables": tables,
    }


def copy_rows(
    batches: Sequence[Mapping[str, Any]],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The job rows of batches as (unix times, job numbers, values by column and row)."""
    times, jobs, columns = [], [], []
    for number, content in enumerate(batches):
        table = content["tables"]["job_sample"]
        per = len(content["jobs"]["job_id"])
        times.append(np.array(table["time"]))
        jobs.append(number * per + np.array(table["job"], np.int64))
        names = ("interval_s", *(column.name for column in TABLES["job_sample"].columns))
        columns.append(np.array([table[name] for name in names]))
    return np.concatenate(times), np.concatenate(jobs), np.concatenate(columns, axis=1)
