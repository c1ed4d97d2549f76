"""Jobs on GPUs: which of them are alive, and the use of a job's GPUs on one node together."""

from __future__ import annotations

import numpy as np

from query.table import Table

__all__ = ["gpu_use", "still_sampled"]

# Of intervals: after these without a sample it is not alive.
INTERVALS = 3
# An agent that caught up merges intervals; those keep nothing alive for hours.
LONGEST_INTERVAL_S = 300.0


def still_sampled(job_gpu: Table, gpu: Table) -> Table:
    """The rows that were sampled within 3 intervals of their GPU; `gpu` has those alive."""
    if not gpu.rows or not job_gpu.rows:
        return job_gpu.keep(np.zeros(job_gpu.rows, dtype=bool))
    order = np.argsort(gpu.numbers["gpu_id"])
    ids = gpu.numbers["gpu_id"][order]
    places = np.minimum(np.searchsorted(ids, job_gpu.numbers["gpu_id"]), len(ids) - 1)
    interval_s = np.fmin(gpu.numbers["interval_s"][order][places], LONGEST_INTERVAL_S)
    is_there = ids[places] == job_gpu.numbers["gpu_id"]
    return job_gpu.keep(is_there & (job_gpu.numbers["age_s"] < INTERVALS * interval_s))


def gpu_use(job_gpu: Table) -> Table:
    """One row a job and node: the mean utilisation of the GPUs, weighted by the shares it holds."""
    rows = zip(job_gpu.numbers["job_key"].tolist(), job_gpu.texts["node"], strict=True)
    keys = list(rows)
    groups = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    of_row = np.array([groups[key] for key in keys], dtype=np.int64)
    _, first = np.unique(of_row, return_index=True)
    ratio, share = job_gpu.numbers["utilization_ratio"], job_gpu.numbers["share"]
    known = ~np.isnan(ratio) & (share > 0)
    shares = np.bincount(of_row[known], share[known], len(groups))
    used = np.bincount(of_row[known], (ratio * share)[known], len(groups))
    mean = np.full(len(groups), np.nan)
    np.divide(used, shares, out=mean, where=shares > 0)
    named = np.bincount(of_row, job_gpu.numbers["is_waiting"] == 0, len(groups))
    return Table(
        len(groups),
        {name: [column[at] for at in first] for name, column in job_gpu.texts.items()},
        {
            "job_key": job_gpu.numbers["job_key"][first],
            "started_s": job_gpu.numbers["started_s"][first],
            "utilization_ratio": mean,
            "is_waiting": (named == 0).astype(float),
        },
    )
