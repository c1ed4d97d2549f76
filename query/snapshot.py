"""What /metrics shows, read in one snapshot, and the runs of a job merged into one series."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from query.catalogue import of_relation
from query.jobcounts import JobCounter, JobCounts
from query.metric import LABELS, MetricType
from tsobs.db import Database
from tsobs.row import Row
from tsobs.viewer import Viewer

__all__ = ["Snapshot", "read_snapshot", "relations"]


class Snapshot(NamedTuple):
    """Rows as read: what is alive, and the totals of other runs of the same jobs."""

    job_node: Sequence[Row]
    job_node_totals: Sequence[Row]
    job_gpu: Sequence[Row]
    job_gpu_totals: Sequence[Row]
    job_node_gpu: Sequence[Row]
    gpu: Sequence[Row]
    node: Sequence[Row]
    counts: JobCounts
    last_collect_s: float | None


async def read_snapshot(database: Database, counter: JobCounter, viewer: Viewer) -> Snapshot:
    """Everything that is alive and that the viewer may see, from one database snapshot."""
    bounds = (viewer.cluster, viewer.user)
    async with database.transaction(readonly=True) as connection:
        await connection.execute("plan_for_metrics")
        job_node = await connection.fetch("metrics_job_node", *bounds)
        others = [row["job_key"] for row in await connection.fetch("metrics_other_runs", *bounds)]
        return Snapshot(
            job_node=job_node,
            job_node_totals=await connection.fetch("metrics_job_node_of_runs", others),
            job_gpu=await connection.fetch("metrics_job_gpu", *bounds),
            job_gpu_totals=await connection.fetch("metrics_job_gpu_of_runs", others),
            job_node_gpu=await connection.fetch("metrics_job_node_gpu", *bounds),
            gpu=await connection.fetch("metrics_gpu", viewer.cluster),
            node=await connection.fetch("metrics_node", viewer.cluster),
            counts=await counter.read(connection, viewer),
            last_collect_s=await connection.fetchval("metrics_service", viewer.cluster),
        )


def relations(snapshot: Snapshot) -> dict[str, Sequence[Row]]:
    """The rows of each relation of the catalogue, one a label set."""
    job_node = merge_runs("job_node", _named(snapshot.job_node), snapshot.job_node_totals)
    jobs_on = Counter(row["node_id"] for row in snapshot.job_node)
    by_state = snapshot.counts.by_state
    return {
        "job": merge_runs("job", job_node),
        "job_node": job_node,
        "job_node_gpu": merge_runs("job_node_gpu", _named(snapshot.job_node_gpu)),
        "job_gpu": merge_runs("job_gpu", snapshot.job_gpu, snapshot.job_gpu_totals),
        "gpu": snapshot.gpu,
        "node": [{**dict(row), "jobs": jobs_on[row["node_id"]]} for row in snapshot.node],
        "job_state": [{"state": state, "jobs": jobs} for state, jobs in by_state.items()],
        "service": [{"jobs_ever": snapshot.counts.ever, "last_collect_s": snapshot.last_collect_s}],
    }


def _named(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if not row["is_waiting"]]


def merge_runs(relation: str, rows: Sequence[Row], totals: Sequence[Row] = ()) -> Sequence[Row]:
    """One row a label set: the newest run's gauges, and the counters of all runs together.

    `totals` are of other runs; those without a living run of the same labels make no series.
    """
    labels = [column for _, column in LABELS[relation]]
    keys = [tuple([row[column] for column in labels]) for row in rows]
    if not totals and len(set(keys)) == len(rows):
        return rows
    runs: dict[tuple[Any, ...], list[Row]] = {}
    for key, row in zip(keys, rows, strict=True):
        runs.setdefault(key, []).append(row)
    ended: dict[tuple[Any, ...], list[Row]] = {}
    for row in totals:
        key = tuple([row[column] for column in labels])
        if key in runs and row["job_key"] not in [run["job_key"] for run in runs[key]]:
            ended.setdefault(key, []).append(row)
    counters = _counters(relation)
    return [
        _merge(group, ended.get(key, []), counters) if len(group) > 1 or key in ended else group[0]
        for key, group in runs.items()
    ]


def _merge(alive: Sequence[Row], ended: Sequence[Row], counters: Iterable[str]) -> Row:
    newest = max(alive, key=lambda row: (row["started_at"], row["job_key"]))
    return {**dict(newest), **{name: _total([*alive, *ended], name) for name in counters}}


def _total(rows: Iterable[Row], column: str) -> float | None:
    known = [row[column] for row in rows if row[column] is not None]
    return sum(known) if known else None


def _counters(relation: str) -> list[str]:
    return [
        source.column
        for metric in of_relation(relation)
        if metric.type is MetricType.COUNTER
        for source in metric.sources
    ]
