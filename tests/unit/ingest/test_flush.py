from __future__ import annotations

import time
from typing import Any

import pytest

from ingest.batch import Batch, parse_batch
from ingest.flush import prepare
from ingest.names import Ids
from ingest.rows import Rejection, Window
from tests.batches import Agent, job, row
from tests.unit.ingest.copyreader import float8, int4, int8, read_copy, unix_s
from tsobs.columns import TABLES

NOW = float(int(time.time()))
WINDOW = Window.around(NOW, 86_400)
GPUS = [{"uuid": "GPU-0"}, {"uuid": "GPU-1"}]


def batch(**sections: Any) -> Batch:
    return parse_batch(Agent().batch(**sections), b"")


def test_each_row_carries_the_ids_of_its_own_batch() -> None:
    jobs = [job("a"), job("b")]
    batches = [
        batch(jobs=jobs[:1], job_sample=[row(NOW, job=0)]),
        batch(node_sample=[row(NOW)]),
        batch(jobs=jobs, job_sample=[row(NOW, job=1), row(NOW, job=0)]),
        batch(jobs=jobs[:1], gpus=GPUS, job_sample=[row(NOW, job=0)]),
    ]
    ids = [Ids(1, [10], []), Ids(2, [], []), Ids(3, [30, 31], []), Ids(4, [40], [400, 401])]
    prepared = prepare(batches, ids, WINDOW)
    [job_copy, node_copy] = prepared.copies
    assert (job_copy.table, node_copy.table) == ("job_sample", "node_sample")
    # In the order of the table's index.
    found = [(int8(fields[1]), int4(fields[2])) for fields in read_copy(job_copy.data)]
    assert found == [(10, 1), (30, 3), (31, 3), (40, 4)]
    assert [int4(fields[1]) for fields in read_copy(node_copy.data)] == [2]


def test_a_gpu_row_without_a_job_has_a_null() -> None:
    rows = [row(NOW, gpu=1, job=None, share=0.25), row(NOW, gpu=0, job=0, share=0.75)]
    one = batch(jobs=[job()], gpus=GPUS, gpu_sample=rows)
    [copy] = prepare([one], [Ids(7, [70], [5, 6])], WINDOW).copies
    assert copy.columns[:6] == TABLES["gpu_sample"].keys
    found = [
        (int4(gpu), int4(node), int8(key), float8(share))
        for _, gpu, node, key, share, *_ in read_copy(copy.data)
    ]
    assert found == [(5, 7, 70, 0.75), (6, 7, None, 0.25)]


def test_a_table_without_any_job_or_gpu_is_no_trouble() -> None:
    assert prepare([batch(jobs=[job()])], [Ids(1, [10], [])], WINDOW).copies == []
    only = batch(gpus=GPUS, gpu_sample=[row(NOW, gpu=0, share=1)])
    prepared = prepare([only], [Ids(1, [], [5, 6])], WINDOW)
    assert [addition.table for addition in prepared.additions] == ["gpu_add"]


def test_what_is_refused_is_neither_copied_nor_added() -> None:
    rows = [row(NOW, load1=1.0), row(0.0, load1=2.0), row(NOW + 1, load1=-1.0)]
    batches = [batch(node_sample=rows), batch(node_sample=rows[:1])]
    prepared = prepare(batches, [Ids(1, [], []), Ids(2, [], [])], WINDOW)
    assert prepared.rejected == {
        0: [
            Rejection("node_sample", 1, "time", "too_old"),
            Rejection("node_sample", 2, "load1", "out_of_range"),
        ]
    }
    [copy] = prepared.copies
    assert [unix_s(fields[0]) for fields in read_copy(copy.data)] == [NOW, NOW]
    [addition] = prepared.additions
    counts = addition.columns.index("sample_count")
    assert [int8(fields[counts]) for fields in read_copy(addition.data)] == [1, 1]


@pytest.mark.parametrize("table", TABLES)
def test_columns_are_named_in_the_order_of_the_data(table: str) -> None:
    keys: dict[str, Any] = {"job_sample": {"job": 0}, "gpu_sample": {"gpu": 0, "share": 0.5}}
    spec = TABLES[table]
    values = {column.name: column.high / (n + 2) for n, column in enumerate(spec.columns)}
    one = batch(jobs=[job()], gpus=GPUS, **{table: [row(NOW, **keys.get(table, {}), **values)]})
    [copy] = prepare([one], [Ids(1, [10], [5, 6])], WINDOW).copies
    assert copy.columns == (*spec.keys, *(column.name for column in spec.columns))
    [fields] = read_copy(copy.data)
    named = dict(zip(copy.columns, fields, strict=True))
    assert unix_s(named["time"]) == NOW
    assert float8(named["interval_s"]) == 15.0
    for name, value in values.items():
        assert float8(named[name]) == value


def test_rows_of_one_job_are_in_the_order_of_time() -> None:
    batches = [
        batch(jobs=[job()], job_sample=[row(NOW - n, job=0), row(NOW - 100 - n, job=0)])
        for n in (3, 1, 2)
    ]
    [copy] = prepare(batches, [Ids(1, [10], [])] * 3, WINDOW).copies
    times = [unix_s(fields[0]) for fields in read_copy(copy.data)]
    assert times == [NOW - n for n in (103, 102, 101, 3, 2, 1)]
