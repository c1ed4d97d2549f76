"""What /metrics shows, read in one snapshot, and the relations of the catalogue made of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from query.catalogue import of_relation
from query.jobcounts import JobCounter, JobCounts
from query.jobgpus import gpu_use, still_sampled
from query.metric import MetricType
from query.runs import merge_runs
from query.table import Table, read_table
from tsobs.db import Connection, Database
from tsobs.row import Row
from tsobs.viewer import Viewer

__all__ = ["Snapshot", "read_snapshot", "relations"]


class Snapshot(NamedTuple):
    """Columns as they came: what is alive, and the totals of other runs of the same jobs."""

    job: Row
    job_node: Row
    job_node_totals: Row | None
    job_gpu: Row
    job_gpu_totals: Row | None
    gpu: Row
    node: Row
    counts: JobCounts
    last_collect_s: float | None


async def read_snapshot(database: Database, counter: JobCounter, viewer: Viewer) -> Snapshot:
    """Everything that is alive and that the viewer may see, from one database snapshot."""
    bounds = (viewer.cluster, viewer.user)
    async with database.transaction(readonly=True) as connection:
        await connection.execute("plan_for_metrics")
        others = [row["job_key"] for row in await connection.fetch("metrics_other_runs", *bounds)]
        totals = others or None
        return Snapshot(
            job=await _columns(connection, "metrics_job", *bounds),
            job_node=await _columns(connection, "metrics_job_node", *bounds),
            job_node_totals=totals
            and await _columns(connection, "metrics_job_node_of_runs", others),
            job_gpu=await _columns(connection, "metrics_job_gpu", *bounds),
            job_gpu_totals=totals and await _columns(connection, "metrics_job_gpu_of_runs", others),
            gpu=await _columns(connection, "metrics_gpu", viewer.cluster),
            node=await _columns(connection, "metrics_node", viewer.cluster),
            counts=await counter.read(connection, viewer),
            last_collect_s=await connection.fetchval("metrics_service", viewer.cluster),
        )


async def _columns(connection: Connection, name: str, *args: Any) -> Row:
    row = await connection.fetchrow(name, *args)
    assert row is not None  # aggregates of all rows are one row
    return row


def relations(snapshot: Snapshot) -> dict[str, Table]:
    """The rows of each relation of the catalogue, one a label set."""
    job, gpu, node = (read_table(row) for row in (snapshot.job, snapshot.gpu, snapshot.node))
    every_job_node = _started(job, read_table(snapshot.job_node))
    is_gone = every_job_node.numbers["is_gone"] > 0
    seen, gone = every_job_node.keep(~is_gone), every_job_node.keep(is_gone)
    alive = _named(seen)
    job_gpu = _started(job, _without(gone, still_sampled(read_table(snapshot.job_gpu), gpu)))
    job = job.keep(np.isin(job.numbers["job_key"], alive.numbers["job_key"]))
    by_state = snapshot.counts.by_state
    last_collect_s = np.nan if snapshot.last_collect_s is None else snapshot.last_collect_s
    return {
        "job": _with_info(merge_runs("job", job)),
        "job_node": _merged("job_node", alive, snapshot.job_node_totals),
        "job_node_gpu": merge_runs("job_node_gpu", _named(gpu_use(job_gpu))),
        "job_gpu": _merged("job_gpu", job_gpu, snapshot.job_gpu_totals),
        "gpu": _with_info(gpu),
        "node": _with_info(node.with_numbers(jobs=_jobs_on(node, seen))),
        "job_state": Table(
            len(by_state), {"state": [*by_state]}, {"jobs": np.array([*by_state.values()], float)}
        ),
        "service": Table(
            1,
            {},
            {
                "jobs_ever": np.array([float(snapshot.counts.ever)]),
                "last_collect_s": np.array([last_collect_s]),
            },
        ),
    }


def _started(job: Table, table: Table) -> Table:
    """Rows of jobs with what `job` says of their start; it has them all."""
    order = np.argsort(job.numbers["job_key"])
    at = order[np.searchsorted(job.numbers["job_key"][order], table.numbers["job_key"])]
    names = ("started_s", "start_s", "runtime_s")
    return table.with_numbers(**{name: job.numbers[name][at] for name in names})


def _named(table: Table) -> Table:
    return table.keep(table.numbers["is_waiting"] == 0)


def _without(gone: Table, table: Table) -> Table:
    """The rows of jobs that are still on their node."""
    if not gone.rows:
        return table
    ended = set(zip(gone.numbers["job_key"].tolist(), gone.texts["node"], strict=True))
    rows = zip(table.numbers["job_key"].tolist(), table.texts["node"], strict=True)
    return table.keep(np.array([row not in ended for row in rows], dtype=bool))


def _merged(relation: str, table: Table, totals: Row | None) -> Table:
    counters = [
        source.column
        for metric in of_relation(relation)
        if metric.type is MetricType.COUNTER
        for source in metric.sources
    ]
    return merge_runs(relation, table, counters, read_table(totals) if totals else None)


def _with_info(table: Table) -> Table:
    return table.with_numbers(info=np.ones(table.rows))


def _jobs_on(node: Table, seen: Table) -> np.ndarray[Any, np.dtype[np.float64]]:
    """How many jobs are sampled on each node."""
    ids, counts = np.unique(seen.numbers["node_id"], return_counts=True)
    places = np.searchsorted(ids, node.numbers["node_id"])
    found = np.append(ids, -1)[places] == node.numbers["node_id"]
    return np.where(found, np.append(counts, 0)[places], 0).astype(float)
