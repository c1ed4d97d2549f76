from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.batch import parse_batch
from ingest.rows import Rows, gather
from ingest.totals import Addition, gpu_additions, job_node_addition, node_addition
from tests.batches import Agent, dyadic_row, job, row
from tests.unit.ingest.copyreader import float8, int4, int8, read_copy, unix_s
from tests.unit.ingest.naive import gpu_totals, job_gpu_totals, job_node_totals, node_totals
from tsobs.columns import TABLES

NOW = 1_700_000_000.0
THINGS = 3
GPUS = [{"uuid": f"GPU-{n}"} for n in range(THINGS)]
JOBS = [job(str(n)) for n in range(THINGS)]
SEEDS = st.integers(0, 2**32)

Row = dict[str, Any]


def rows_of(table: str, groups: Sequence[Sequence[Row]]) -> Rows:
    """Rows as they come out of a group of batches."""
    agent = Agent()
    bodies = [agent.batch({table: rows}, jobs=JOBS, gpus=GPUS) for rows in groups]
    rows = gather(table, [parse_batch(body, b"") for body in bodies])
    assert rows is not None
    return rows


def cut(rows: Sequence[Row], source: random.Random) -> list[list[Row]]:
    """Rows in any order, in one to four batches."""
    groups: list[list[Row]] = [[] for _ in range(source.randint(1, 4))]
    for one in source.sample(rows, len(rows)):
        source.choice(groups).append(one)
    return [group for group in groups if group]


def read(addition: Addition) -> list[dict[str, Any]]:
    kinds: dict[str, Callable[[bytes | None], Any]] = {
        "job_key": int8,
        "node_id": int4,
        "gpu_id": int4,
        "sample_count": int8,
        "first_sample_at": unix_s,
        "last_sample_at": unix_s,
    }
    return [
        {
            name: kinds.get(name, float8)(field)
            for name, field in zip(addition.columns, fields, strict=True)
        }
        for fields in read_copy(addition.data)
    ]


def grouped(rows: Sequence[Row], *names: str) -> dict[tuple[Any, ...], list[Row]]:
    groups = defaultdict(list)
    for one in rows:
        groups[tuple(one[name] for name in names)].append(one)
    return dict(groups)


def distinct_times(source: random.Random, count: int) -> list[float]:
    return [NOW - n * 0.25 for n in source.sample(range(100_000), count)]


@given(SEEDS)
def test_jobs_on_nodes_as_counted_one_by_one(seed: int) -> None:
    source = random.Random(seed)
    sent = [
        dyadic_row("job_sample", source, at, job=source.randrange(THINGS))
        for at in distinct_times(source, source.randint(1, 12))
    ]
    rows = rows_of("job_sample", cut(sent, source))
    node = np.full(len(sent), 7, np.int64)
    addition = job_node_addition(rows, rows.job + 100, node)
    assert (addition.table, addition.statement) == ("job_node_add", "add_job_node")
    found = read(addition)
    expected = [
        {"job_key": 100 + key, "node_id": 7, **job_node_totals(group)}
        for (key,), group in sorted(grouped(sent, "job").items())
    ]
    assert found == expected


@given(SEEDS)
def test_one_job_on_two_nodes_is_two_rows(seed: int) -> None:
    source = random.Random(seed)
    sent = [
        dyadic_row("job_sample", source, at, job=0) | {"node": source.choice([5, 3])}
        for at in distinct_times(source, 6)
    ]
    rows = rows_of("job_sample", [sent])
    nodes = np.array([one["node"] for one in sent], np.int64)
    found = read(job_node_addition(rows, rows.job, nodes))
    expected = [
        {"job_key": 0, "node_id": key, **job_node_totals(group)}
        for (key,), group in sorted(grouped(sent, "node").items())
    ]
    assert found == expected


@given(SEEDS)
def test_nodes_as_counted_one_by_one(seed: int) -> None:
    source = random.Random(seed)
    sent = [
        dyadic_row("node_sample", source, at)
        for at in distinct_times(source, source.randint(1, 12))
    ]
    groups = cut(sent, source)
    rows = rows_of("node_sample", groups)
    # Each batch from a node of its own, the first and the last from the same.
    nodes = np.where(rows.batch == len(groups) - 1, 0, rows.batch)
    found = read(node_addition(rows, nodes))
    by_node: dict[int, list[Row]] = defaultdict(list)
    for n, group in enumerate(groups):
        by_node[0 if n == len(groups) - 1 else n] += group
    assert found == [
        {"node_id": node, **node_totals(group)} for node, group in sorted(by_node.items())
    ]


def readings(source: random.Random) -> list[Row]:
    """Rows of GPUs, each reading shared by up to three jobs and nobody."""
    sent = []
    for at in distinct_times(source, source.randint(1, 6)):
        gpu = source.randrange(THINGS)
        device = dyadic_row("gpu_sample", source, at, gpu=gpu)
        shares = source.choice([[1.0], [0.5, 0.5], [0.25, 0.75], [0.25, 0.25, 0.5], [0.0, 1.0]])
        holders = source.sample([None, *range(THINGS)], len(shares))
        sent += [
            device | {"job": holder, "share": share}
            for holder, share in zip(holders, shares, strict=True)
        ]
    return sent


@given(SEEDS)
def test_gpus_as_counted_one_by_one(seed: int) -> None:
    source = random.Random(seed)
    sent = readings(source)
    rows = rows_of("gpu_sample", [sent])
    node = np.full(len(sent), 7, np.int64)
    keys = np.where(rows.job < 0, -1, rows.job + 100)
    additions = gpu_additions(rows, rows.gpu + 10, node, keys)
    devices, *held = additions
    assert read(devices) == [
        {"gpu_id": 10 + key, **gpu_totals(group)}
        for (key,), group in sorted(grouped(sent, "gpu").items())
    ]
    with_job = [one for one in sent if one["job"] is not None]
    assert [addition.table for addition in held] == ["job_gpu_add"] * bool(with_job)
    expected = [
        {"job_key": 100 + key, "gpu_id": 10 + gpu, "node_id": 7, **job_gpu_totals(group)}
        for (key, gpu), group in sorted(grouped(with_job, "job", "gpu").items())
    ]
    assert [one for addition in held for one in read(addition)] == expected


def test_a_device_is_counted_once_however_many_share_it() -> None:
    shared = [row(NOW, gpu=0, job=n, share=0.5, energy_j=100.0) for n in (0, 1)]
    rows = rows_of("gpu_sample", [shared])
    device, held = gpu_additions(rows, rows.gpu, rows.gpu, rows.job)
    [found] = read(device)
    assert (found["energy_j"], found["sample_count"], found["known_s"]) == (100.0, 1, 15.0)
    assert [one["energy_j"] for one in read(held)] == [50.0, 50.0]


def test_what_was_never_measured_is_null_and_what_was_nothing_is_zero() -> None:
    rows = rows_of("node_sample", [[row(NOW, cpu_user_s=0.0), row(NOW - 15)]])
    [found] = read(node_addition(rows, np.zeros(2, np.int64)))
    assert found["cpu_user_s"] == 0.0
    assert found["cpu_system_s"] is None
    # A gauge is that of the newest row, null when that one did not have it.
    rows = rows_of("node_sample", [[row(NOW), row(NOW - 15, load1=1.0)]])
    [found] = read(node_addition(rows, np.zeros(2, np.int64)))
    assert found["load1"] is None


def test_every_measured_column_is_in_the_totals() -> None:
    job_rows = rows_of("job_sample", [[row(NOW, job=0)]])
    node_rows = rows_of("node_sample", [[row(NOW)]])
    gpu_rows = rows_of("gpu_sample", [[row(NOW, gpu=0, share=1)]])
    one = np.zeros(1, np.int64)
    additions = {
        "job_sample": job_node_addition(job_rows, one, one),
        "node_sample": node_addition(node_rows, one),
        "gpu_sample": gpu_additions(gpu_rows, one, one, one - 1)[0],
    }
    for table, addition in additions.items():
        assert {column.name for column in TABLES[table].columns} <= set(addition.columns)
        assert len(set(addition.columns)) == len(addition.columns)


def test_a_ratio_that_no_number_can_hold_is_not_known() -> None:
    offers = [0.0, -0.0, 5e-324, 1e-310]
    sent = [
        row(NOW - n, job=0, cpu_user_s=1e8, cpu_system_s=0.0, cpus_allocated=offer)
        for n, offer in enumerate(offers)
    ]
    rows = rows_of("job_sample", [sent])
    [found] = read(job_node_addition(rows, rows.job, rows.job))
    assert (found["cpu_usage_ratio"], found["cpu_usage_ratio_max"]) == (None, None)
