"""Every column comes out as it went in, and the schema says the same as the declared columns."""

from __future__ import annotations

import math
import random
import re
import struct
import time
from typing import Any

import pytest

from tests.batches import Agent, job, row
from tests.integration.ingest.sending import Sender, Stored
from tsobs.columns import TABLES, Column
from tsobs.sqlfiles import query

NOW = float(int(time.time()))
GPUS = [{"uuid": "GPU-0"}, {"uuid": "MIG-1", "parent_uuid": "GPU-0"}]
KEYS: dict[str, list[dict[str, Any]]] = {
    "job_sample": [{"job": 0}, {"job": 1}],
    "gpu_sample": [
        {"gpu": 0, "job": None, "share": 1.0},
        {"gpu": 1, "job": 1, "share": 0.1},
        {"gpu": 1, "job": 0, "share": 0},
    ],
    "node_sample": [{}],
}


def every_value(column: Column) -> list[float | None]:
    """Null, both zeros, denormals, both ends, and values that no short decimal says exactly."""
    source = random.Random(column.name)
    values = [0.0, -0.0, 5e-324, 2.0**-1022, 0.1, 1 / 3, 1e15, 123456789.123456789]
    values += [column.low, column.high, math.nextafter(column.high, 0)]
    values += [source.uniform(column.low, column.high) for _ in range(5)]
    return [None, *(value for value in values if column.low <= value <= column.high)]


def rows_of(table: str) -> list[dict[str, Any]]:
    rows = []
    for n in range(17):
        values = {column.name: every_value(column) for column in TABLES[table].columns}
        at = NOW - 1000 - n - 0.123457 * n
        one = row(at, **KEYS[table][n % len(KEYS[table])])
        one["interval_s"] = [15.0, 0.1, 5e-324, 31 * 86400.0, 1e-3, 1 / 3][n % 6]
        rows.append(one | {name: found[n % len(found)] for name, found in values.items()})
    return rows


def bits(value: Any) -> Any:
    return struct.pack(">d", value) if isinstance(value, float) else value


@pytest.mark.parametrize("table", TABLES)
async def test_every_column_comes_out_as_it_went_in(
    sender: Sender, stored: Stored, table: str
) -> None:
    sent = rows_of(table)
    jobs = [job("1"), job("2")]
    answer = await sender.post(Agent("n1").batch({table: sent}, jobs=jobs, gpus=GPUS))
    assert answer.status == 200
    assert answer.body["stored"] == {table: len(sent)}
    assert (answer.body["status"], answer.body["rejected"]) == ("accepted", [])
    assert abs(answer.body["time"] - time.time()) < 5
    ids: dict[str, list[int]] = {}
    for kind, thing, name in (("job", "job_key", "job_id"), ("gpu", "gpu_id", "uuid")):
        found = await stored.all(f"select {thing} as id from tsobs_store.{kind} order by {name}")
        ids[kind] = [each["id"] for each in found]
    node_id = await stored.value("select node_id from tsobs_store.node")
    rows = await stored.all(f"select * from tsobs_store.{table} order by time desc")
    assert len(rows) == len(sent)
    for one, kept in zip(sent, rows, strict=True):
        assert abs(kept.pop("time").timestamp() - one["time"]) <= 1e-6
        assert kept.pop("node_id") == node_id
        if "job" in one:
            holder = one["job"]
            assert kept.pop("job_key") == (None if holder is None else ids["job"][holder])
        if "gpu" in one:
            assert kept.pop("gpu_id") == ids["gpu"][one["gpu"]]
        for name, value in kept.items():
            sent_value = one[name]
            expected = float(sent_value) if sent_value is not None else None
            assert bits(value) == bits(expected), name


async def test_a_column_that_is_absent_is_null_and_not_zero(sender: Sender, stored: Stored) -> None:
    agent = Agent()
    batch = agent.batch(
        jobs=[job()],
        gpus=GPUS,
        job_sample=[row(NOW, job=0)],
        gpu_sample=[row(NOW, gpu=0, share=1)],
        node_sample=[row(NOW)],
    )
    assert (await sender.post(batch)).body["status"] == "accepted"
    for name, table in TABLES.items():
        [found] = await stored.rows(name)
        assert {found[column.name] for column in table.columns} == {None}
    for name in ("job_node", "node", "gpu"):
        measured = {column.name for column in TABLES[f"{name.split('_')[0]}_sample"].columns}
        for found in await stored.rows(name):
            assert {found[column] for column in measured} == {None}


@pytest.mark.parametrize("table", TABLES)
async def test_the_declared_columns_are_those_of_the_database(stored: Stored, table: str) -> None:
    columns = await stored.all(
        "select column_name, data_type from information_schema.columns where table_schema ="
        " 'tsobs_store' and table_name = $1 order by ordinal_position",
        table,
    )
    spec = TABLES[table]
    names = [column["column_name"] for column in columns]
    assert names == [*spec.keys, *(column.name for column in spec.columns)]
    kinds = {column["column_name"]: column["data_type"] for column in columns}
    assert {kinds[column.name] for column in spec.columns} == {"double precision"}


TOTALS = {"job_node": "job_sample", "node": "node_sample", "gpu": "gpu_sample"}


@pytest.mark.parametrize(("target", "table"), TOTALS.items())
async def test_every_column_has_a_total_or_a_gauge_and_is_added(
    stored: Stored, target: str, table: str
) -> None:
    held = await stored.all(
        "select column_name from information_schema.columns where table_schema = 'tsobs_store'"
        " and table_name = $1",
        target,
    )
    names = {each["column_name"] for each in held}
    assigned = re.findall(r"^ +(\w+) = ", query(f"add_{target}"), re.MULTILINE)
    assert len(assigned) == len(set(assigned))
    assert set(assigned) <= names
    for column in TABLES[table].columns:
        assert column.name in names
        assert column.name in assigned
