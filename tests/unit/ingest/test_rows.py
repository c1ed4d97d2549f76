from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.batch import Batch, parse_batch
from ingest.rows import MAX_AHEAD_S, MAX_INTERVAL_S, Rejection, Window, gather, refuse
from tests.batches import Agent, dyadic_row, job, row
from tsobs.columns import TABLES, Column

NOW = 1_700_000_000.0
RETENTION_S = 7 * 86_400.0
WINDOW = Window.around(NOW, RETENTION_S)
GPUS = [{"uuid": "GPU-0"}, {"uuid": "GPU-1"}]


def batch(table: str, rows: list[dict[str, Any]]) -> Batch:
    body = Agent().batch({table: rows}, jobs=[job("1"), job("2")], gpus=GPUS)
    return parse_batch(body, b"")


def keys(table: str) -> dict[str, Any]:
    known: dict[str, dict[str, Any]] = {
        "job_sample": {"job": 0},
        "gpu_sample": {"gpu": 0, "share": 1.0},
    }
    return known.get(table, {})


def refused(table: str, rows: list[dict[str, Any]]) -> list[Rejection]:
    gathered = gather(table, [batch(table, rows)])
    assert gathered is not None
    good, reasons = refuse(gathered, WINDOW)
    found = reasons.get(0, [])
    assert sorted(found, key=lambda one: one.row) == sorted(set(found), key=lambda one: one.row)
    assert {one.row for one in found} == set(np.flatnonzero(~good))
    return found


# gather


def test_rows_of_many_batches_come_one_after_another() -> None:
    source = random.Random(1)
    sent: list[tuple[int, int, dict[str, Any]]] = []
    batches = []
    for n, (table, count) in enumerate([("job_sample", 2), ("node_sample", 3), ("job_sample", 1)]):
        rows = [
            dyadic_row(table, source, NOW - i, **({"job": i} if table == "job_sample" else {}))
            for i in range(count)
        ]
        batches.append(batch(table, rows))
        sent += [(n, i, one) for i, one in enumerate(rows) if table == "job_sample"]
    rows_ = gather("job_sample", batches)
    assert rows_ is not None
    assert rows_.batch.tolist() == [0, 0, 2]
    assert rows_.row.tolist() == [0, 1, 0]
    assert rows_.job.tolist() == [0, 1, 0]
    assert rows_.gpu.tolist() == [-1, -1, -1]
    for at, (_, _, one) in enumerate(sent):
        assert rows_.time[at] == one["time"]
        assert rows_.interval[at] == one["interval_s"]
        for n, column in enumerate(TABLES["job_sample"].columns):
            found = rows_.values[n, at]
            assert (None if math.isnan(found) else found) == one[column.name]


def test_a_column_that_one_batch_lacks_is_null_there() -> None:
    having = batch("node_sample", [row(NOW, load1=1.0), row(NOW)])
    lacking = batch("node_sample", [row(NOW, load5=2.0)])
    rows = gather("node_sample", [lacking, having])
    assert rows is not None
    at = {column.name: n for n, column in enumerate(rows.table.columns)}
    np.testing.assert_array_equal(rows.values[at["load1"]], [np.nan, 1.0, np.nan])
    np.testing.assert_array_equal(rows.values[at["load5"]], [2.0, np.nan, np.nan])
    assert np.isnan(rows.values[at["load15"]]).all()


def test_a_gpu_that_no_job_holds_has_no_job() -> None:
    rows = gather(
        "gpu_sample",
        [batch("gpu_sample", [row(NOW, gpu=1, job=job_, share=0.5) for job_ in (None, 1)])],
    )
    assert rows is not None
    assert rows.job.tolist() == [-1, 1]
    assert rows.gpu.tolist() == [1, 1]
    assert rows.share.tolist() == [0.5, 0.5]


def test_no_rows_is_none() -> None:
    assert gather("gpu_sample", [batch("node_sample", [row(NOW)])]) is None


# refuse


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    ("at", "rule"),
    [
        (NOW - RETENTION_S, None),
        (NOW - RETENTION_S - 0.001, "too_old"),
        (0.0, "too_old"),
        (-1e300, "too_old"),
        (-math.inf, "too_old"),
        (NOW + MAX_AHEAD_S, None),
        (NOW + MAX_AHEAD_S + 0.001, "too_far_ahead"),
        (1e300, "too_far_ahead"),
        (math.inf, "too_far_ahead"),
    ],
)
def test_times(table: str, at: float, rule: str | None) -> None:
    expected = [] if rule is None else [Rejection(table, 0, "time", rule)]
    assert refused(table, [row(at, **keys(table))]) == expected


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    ("interval_s", "is_good"),
    [
        (5e-324, True),
        (MAX_INTERVAL_S, True),
        (MAX_INTERVAL_S + 1, False),
        (0, False),
        (-0.0, False),
        (-1.0, False),
        (math.inf, False),
        (-math.inf, False),
    ],
)
def test_intervals(table: str, interval_s: float, is_good: bool) -> None:
    one = row(NOW, **keys(table)) | {"interval_s": interval_s}
    expected = [] if is_good else [Rejection(table, 0, "interval_s", "out_of_range")]
    assert refused(table, [one]) == expected


@pytest.mark.parametrize(
    ("share", "is_good"), [(0, True), (1, True), (0.5, True), (1.0001, False), (-0.1, False)]
)
def test_shares(share: float, is_good: bool) -> None:
    expected = [] if is_good else [Rejection("gpu_sample", 0, "share", "out_of_range")]
    assert refused("gpu_sample", [row(NOW, gpu=0, share=share)]) == expected


EVERY_COLUMN = [(table.name, column) for table in TABLES.values() for column in table.columns]


@pytest.mark.parametrize(
    ("table", "column"), EVERY_COLUMN, ids=[f"{table}.{c.name}" for table, c in EVERY_COLUMN]
)
def test_the_limits_of_every_column(table: str, column: Column) -> None:
    low, high = column.low, column.high
    cases: list[tuple[float | None, str | None]] = [
        (None, None),
        (low, None),
        (high, None),
        (-0.0, None),
        (math.nextafter(low, -math.inf), "out_of_range"),
        (math.nextafter(high, math.inf), "out_of_range"),
        (math.inf, "not_finite"),
        (-math.inf, "not_finite"),
    ]
    rows = [row(NOW, **keys(table), **{column.name: value}) for value, _ in cases]
    expected = [
        Rejection(table, n, column.name, rule)
        for n, (_, rule) in enumerate(cases)
        if rule is not None
    ]
    assert sorted(refused(table, rows)) == expected


def test_a_row_is_refused_once_and_its_neighbours_stay() -> None:
    bad = row(0.0, load1=-1.0, load5=math.inf) | {"interval_s": 0}
    found = refused("node_sample", [row(NOW), bad, row(NOW, load1=-1.0, load5=-1.0)])
    assert [one.row for one in found] == [1, 2]
    assert found[0] == Rejection("node_sample", 1, "time", "too_old")


def naively(table: str, rows: list[dict[str, Any]]) -> set[int]:
    """The numbers of the rows that break a rule, found one value at a time."""
    bad = set()
    for n, one in enumerate(rows):
        if not NOW - RETENTION_S <= one["time"] <= NOW + MAX_AHEAD_S:
            bad.add(n)
        if not 0 < one["interval_s"] <= MAX_INTERVAL_S:
            bad.add(n)
        if table == "gpu_sample" and not 0 <= one["share"] <= 1:
            bad.add(n)
        for column in TABLES[table].columns:
            value = one.get(column.name)
            if value is not None and not column.low <= value <= column.high:
                bad.add(n)
    return bad


def wild_row(table: str, source: random.Random) -> dict[str, Any]:
    """A row with here and there a value at or over a limit."""
    one = dyadic_row(table, source, NOW - source.randrange(1000), **keys(table))
    columns = {column.name: column for column in TABLES[table].columns}
    limits = {"time": (WINDOW.oldest, WINDOW.newest), "interval_s": (5e-324, MAX_INTERVAL_S)}
    if table == "gpu_sample":
        limits["share"] = (0.0, 1.0)
    for name in source.sample(sorted(columns), 3) + source.sample(sorted(limits), 1):
        if source.random() < 0.5:
            continue
        low, high = limits[name] if name in limits else (columns[name].low, columns[name].high)
        beyond = (math.nextafter(low, -math.inf), math.nextafter(high, math.inf))
        far = (math.inf, -math.inf, 1e308, -(2**62))
        one[name] = source.choice((low, high, -0.0, 0, 5e-324, *beyond, *far))
    return one


@pytest.mark.parametrize("table", TABLES)
@given(seed=st.integers(0, 2**32))
def test_as_one_value_at_a_time(table: str, seed: int) -> None:
    source = random.Random(seed)
    groups = [
        [wild_row(table, source) for _ in range(source.randint(1, 4))]
        for _ in range(source.randint(1, 3))
    ]
    rows = gather(table, [batch(table, group) for group in groups])
    assert rows is not None
    good, reasons = refuse(rows, WINDOW)
    for n, group in enumerate(groups):
        expected = naively(table, group)
        kept = {int(number) for number in rows.row[(rows.batch == n) & good]}
        assert {one.row for one in reasons.get(n, [])} == expected
        assert kept == set(range(len(group))) - expected
        for one in reasons.get(n, []):
            assert one.table == table
            assert one.field in group[one.row]
            assert one.rule in ("too_old", "too_far_ahead", "out_of_range", "not_finite")
