"""Storage and views beside tsobs/columns.py; what hypertables must not have."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.sql.observing import Connection
from tsobs.columns import TABLES, Kind

RELATIONS = Path(__file__).with_name("relations.txt")

COLUMNS = """
select attname::text as name, format_type(atttypid, null) as type
from pg_attribute where attrelid = $1::text::regclass and attnum > 0 and not attisdropped
order by attnum
"""
KEY_TYPES = {
    "time": "timestamp with time zone",
    "job_key": "bigint",
    "node_id": "integer",
    "gpu_id": "integer",
    "share": "double precision",
    "interval_s": "double precision",
}


async def columns(connection: Connection, relation: str) -> dict[str, str]:
    return {row["name"]: row["type"] for row in await connection.fetch(COLUMNS, relation)}


@pytest.mark.parametrize("name", TABLES)
async def test_hypertables_have_the_declared_columns_in_order(
    connection: Connection, name: str
) -> None:
    table = TABLES[name]
    held = await columns(connection, f"tsobs_store.{name}")
    assert list(held) == [*table.keys, *(column.name for column in table.columns)]
    assert {key: held[key] for key in table.keys} == {key: KEY_TYPES[key] for key in table.keys}
    assert {held[column.name] for column in table.columns} == {"double precision"}


@pytest.mark.parametrize("name", TABLES)
async def test_views_show_every_column_in_order(connection: Connection, name: str) -> None:
    table = TABLES[name]
    shown = await columns(connection, f"tsobs.{name}")
    wanted = [*table.keys, *(column.name for column in table.columns)]
    assert [column for column in shown if column in wanted] == sorted(wanted, key=list(shown).index)
    measured = [column.name for column in table.columns]
    assert list(shown)[-len(measured) :] == measured


@pytest.mark.parametrize(
    ("name", "totals"), [("job_sample", "job_node"), ("gpu_sample", "gpu"), ("node_sample", "node")]
)
async def test_totals_have_every_delta_and_gauge(
    connection: Connection, name: str, totals: str
) -> None:
    for schema in ("tsobs_store", "tsobs"):
        held = await columns(connection, f"{schema}.{totals}")
        for kind in Kind:
            missing = {c.name for c in TABLES[name].columns if c.kind is kind} - set(held)
            assert not missing, f"{schema}.{totals} lacks the {kind.value} {sorted(missing)}"


async def test_hypertables_are_made_for_copy(connection: Connection) -> None:
    """A foreign key would take half of the speed, a unique index direct compress."""
    rows = await connection.fetch(
        "select c.conrelid::regclass::text as relation, c.contype::text as kind"
        " from pg_constraint c join timescaledb_information.hypertables h"
        " on c.conrelid = format('%I.%I', h.hypertable_schema, h.hypertable_name)::regclass"
        " where c.contype <> 'n'"  # not null
    )
    assert [tuple(row) for row in rows] == [("tsobs_store.job_reported", "p")]
    indexes = await connection.fetch(
        "select indrelid::regclass::text as relation, indisunique from pg_index"
        " where indrelid in ($1::text::regclass, $2::text::regclass, $3::text::regclass)",
        *(f"tsobs_store.{name}" for name in TABLES),
    )
    assert sorted(row["relation"] for row in indexes) == sorted(f"tsobs_store.{n}" for n in TABLES)
    assert not any(row["indisunique"] for row in indexes)


async def test_hypertables_know_their_intervals(connection: Connection, edition: str) -> None:
    rows = await connection.fetch(
        "select hypertable_name::text as name, time_interval::text as every"
        " from timescaledb_information.dimensions where hypertable_schema = 'tsobs_store'"
    )
    assert {row["name"]: row["every"] for row in rows} == {
        "exemplar": "1 day",
        "gpu_sample": "06:00:00",
        "histogram": "1 day",
        "job_reported": "1 day",
        "job_sample": "06:00:00",
        "node_sample": "1 day",
        "sample": "01:00:00",
    } | ({"sample_5m_rolled": "1 day"} if edition == "apache" else {})


async def test_rows_that_change_leave_room_and_no_index_covers_what_changes(
    connection: Connection,
) -> None:
    """So that an update stays in its page, and no index grows by it."""
    changing = {"last_sample_at", "sample_count", "known_s", "interval_s", "gone_at"}
    changing |= {column.name for table in TABLES.values() for column in table.columns}
    for name in ("job_node", "job_gpu", "node", "gpu"):
        row = await connection.fetchrow(
            "select reloptions::text as options, (select array_agg(distinct attname::text)"
            " from pg_attribute where attrelid in"
            " (select indexrelid from pg_index where indrelid = c.oid)) as indexed"
            " from pg_class c where oid = $1::text::regclass",
            f"tsobs_store.{name}",
        )
        assert row is not None
        assert "fillfactor=" in row["options"], name
        assert not changing & set(row["indexed"]), name


async def test_the_public_relations_are_those_of_the_listing(
    connection: Connection, edition: str
) -> None:
    """Either edition offers the same relations with the same columns: those in relations.txt.

    A column is never renamed or removed, and a new one goes to the end. After a change that keeps
    to this, put the listing that the failure shows into the file.
    """
    rows = await connection.fetch(
        "select c.relname::text as relation, a.attname::text as name,"
        " format_type(a.atttypid, a.atttypmod) as type"
        " from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0"
        " where c.relnamespace = 'tsobs'::regnamespace and not a.attisdropped"
        " order by c.relname, a.attnum"
    )
    listing = "".join(f"{row['relation']}.{row['name']} {row['type']}\n" for row in rows)
    assert listing == RELATIONS.read_text(), f"on the {edition} edition:\n{listing}"


async def test_every_public_column_carries_its_unit(connection: Connection) -> None:
    """Base units only: no _ms, _kb, _mb, _percent, _minutes, _kwh."""
    rows = await connection.fetch(
        "select table_name || '.' || column_name as name from information_schema.columns"
        " where table_schema = 'tsobs' and column_name ~ $1",
        "_(ms|us|ns|[kmg]i?b|pct|percent|minutes|hours|k?wh|[km]j|[km]w|[kmg]hz)(_|$)",
    )
    assert [row["name"] for row in rows] == []
