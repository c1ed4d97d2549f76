"""The catalogue beside the database: every stored quantity is in it, and its account of the past
adds up to what /metrics shows."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import numpy as np
import pytest
from aiohttp import ClientSession

from query.catalogue import CATALOGUE
from query.history import TIME, evaluate, names
from query.metric import Metric, MetricType, Source
from tests.batches import Agent, dyadic_row, job
from tests.integration.query.conftest import Asker
from tests.integration.query.site import Site

# Columns of numbers that are no metric, and why.
NO_METRIC = {
    "keys": {"job_key", "node_id", "gpu_id", "run", "restart_count", "het_offset"},
    "of samples themselves": {"interval_s", "first_interval_s", "sample_count"},
    "known when a job has ended": {"exit_code", "signal", "derived_exit_code"},
    "max_over_time of the gauge": {
        *("cpu_usage_ratio_max", "memory_used_bytes_max", "memory_rss_bytes_max"),
        *("memory_swap_bytes_max", "utilization_ratio_max"),
    },
    "avg_over_time of the gauge": {"memory_used_byte_s", "memory_known_s"},
    "where a part was measured at times": {"cpu_known_s", "cpu_in_capacity_s", "busy_known_s"},
}
# By its own name in the snapshot.
ELSEWHERE = {"start_at": "start_s", "submit_at": "submit_s"}
NUMBERS = ("double precision", "bigint", "integer", "numeric", "smallint", "real")


@pytest.mark.parametrize("relation", ["job", "job_node", "job_gpu", "gpu", "node"])
async def test_every_stored_quantity_is_a_metric(site: Site, relation: str) -> None:
    stored = await site.store.fetch(
        "select column_name, data_type from information_schema.columns"
        " where table_schema = 'tsobs' and table_name = $1",
        relation,
    )
    quantities = {row["column_name"] for row in stored if row["data_type"] in NUMBERS}
    shown = {
        source.column
        for metric in CATALOGUE
        if metric.relation == relation
        for source in metric.sources
    }
    left_out = set().union(*NO_METRIC.values())
    assert quantities - shown <= left_out
    assert not shown & left_out
    there = {row["column_name"] for row in stored}
    assert all(name in shown for column, name in ELSEWHERE.items() if relation == "job") or (
        not there & set(ELSEWHERE)
    )


async def fill(ask: Asker) -> None:
    """Two jobs that share a GPU, one of them with a GPU of its own, over six intervals; values
    that add up without rounding."""
    source, now, agent = random.Random(7), float(int(time.time())), Agent("n1", cluster="alpha")
    jobs = [job("1", user_name="alice", cpus=4), job("2", user_name="bob", cpus=4)]
    gpus = [{"uuid": f"GPU-{n}", "vendor": "nvidia"} for n in range(2)]
    for step in range(6):
        at = now - 15.0 * (5 - step)
        shared = dyadic_row("gpu_sample", source, at)
        tables = {
            "job_sample": [dyadic_row("job_sample", source, at, job=n) for n in range(2)],
            "node_sample": [dyadic_row("node_sample", source, at)],
            "gpu_sample": [
                {**shared, "gpu": 0, "job": 0, "share": 0.5},
                {**shared, "gpu": 0, "job": 1, "share": 0.5},
                dyadic_row("gpu_sample", source, at, gpu=1, job=0, share=1.0),
            ],
        }
        for rows in tables.values():
            for row in rows:
                row["interval_s"] = 15.0
                # Of the newest interval everything is known: it is what gauges show.
                if step == 5:
                    row |= {name: 1.0 for name, value in row.items() if value is None}
        batch = agent.batch(tables, jobs=jobs, gpus=gpus)
        async with ask.session.post(f"{ask.url}/v1/samples", json=batch) as response:
            assert response.status == 200, await response.text()
            assert not (await response.json()).get("rejected")


Rows = list[asyncpg.Record]


def labels_of(metric: Metric, source: Source, row: asyncpg.Record) -> frozenset[tuple[str, str]]:
    """The labels of a sample's series, whichever view it comes from."""
    also = {"gpu_vendor": "gpu_vendor", "gpu_id": "gpu", "user": "user_name"}
    pairs = {label: str(row[also.get(label, label)] or "") for label, _ in metric.labels}
    return frozenset({**pairs, **(dict([source.label]) if source.label else {})}.items())


def past(metric: Metric, source: Source, rows: Rows) -> dict[frozenset[tuple[str, str]], float]:
    """A source's newest value by series, from samples alone."""
    assert source.history is not None
    value, weight = source.history.value, source.history.weight
    columns = {
        name: np.array([np.nan if row[name] is None else float(row[name]) for row in rows])
        for name in names(value) - {TIME}
    }
    columns[TIME] = np.array([row["time"].timestamp() for row in rows])
    values = np.broadcast_to(evaluate(value, columns), len(rows)) * source.scale
    newest = max(row["time"] for row in rows)
    found: dict[frozenset[tuple[str, str]], list[tuple[float, float]]] = {}
    for row, number in zip(rows, values.tolist(), strict=True):
        is_there = metric.type is MetricType.COUNTER or row["time"] == newest
        if is_there and not np.isnan(number):
            share = float(row[weight]) if weight else 1.0
            found.setdefault(labels_of(metric, source, row), []).append((number, share))
    if metric.type is MetricType.COUNTER:
        return {labels: sum(n for n, _ in parts) for labels, parts in found.items()}
    return {
        labels: sum(n * s for n, s in parts) / sum(s for _, s in parts)
        for labels, parts in found.items()
    }


async def test_the_past_adds_up_to_what_is_shown(
    site: Site, session: ClientSession, start_service: Callable[..., Awaitable[str]]
) -> None:
    """Metrics whose past is in samples alone, against the totals and gauges that ingest kept."""
    ask = Asker(session, await start_service())
    await fill(ask)
    shown = await ask.metrics()
    tables = {
        table: await site.store.fetch(f"select * from tsobs.{table}")
        for table in ("job_sample", "gpu_sample", "node_sample")
    }
    checked: set[str] = set()
    for metric in CATALOGUE:
        for source in metric.sources:
            if source.history is None or metric.relation == "job" or metric.name.endswith("_info"):
                continue
            rows = tables[source.history.table]
            if not names(source.history.value) <= {TIME, *rows[0].keys()}:
                continue
            wanted = past(metric, source, rows)
            own = dict([source.label]) if source.label else {}
            there: dict[Any, float] = {
                labels: number
                for (name, labels), number in shown.items()
                if name == metric.name and own.items() <= dict(labels).items()
            }
            assert there == pytest.approx(wanted, rel=1e-12), f"{metric.name} {own}"
            checked |= {metric.name} if wanted else set()
    sampled = {metric.name for metric in CATALOGUE if metric.relation not in ("job", "service")}
    left = {name for name in sampled - checked if not name.endswith("_info")}
    # Told by hooks and the scheduler, or counted now.
    assert left <= {
        *("hpc_job_node_allocated_cpus", "hpc_job_node_allocated_memory_bytes"),
        *("hpc_job_runtime_seconds", "hpc_node_jobs", "hpc_jobs"),
    }
