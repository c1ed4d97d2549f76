"""How samples lie: in rows with one index, or in columns as they come, put in order later."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from tests.integration.sql.labelled import Sample, Store
from tests.integration.sql.observing import Connection
from tsobs.sqlfiles import query

NOW = datetime.now(UTC).replace(microsecond=0)
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
# A stale marker, another signalling NaN, a NaN with a sign and a payload, -0.0, an infinity.
BITS = (0x7FF0000000000002, 0x7FF0000000000001, 0xFFF8000000000123, 1 << 63, 0x7FF0000000000000)
COMPACT = "call tsobs_store.compact_samples()"


async def scrapes(store: Store, series: int, rounds: int, *, until: datetime) -> list[int]:
    """One COPY a round of all series, 15 s apart, the last one at `until`."""
    ids = await store.series(*({"__name__": "m", "n": str(n)} for n in range(series)))
    order = random.Random(1)
    for n in range(rounds):
        at = until - timedelta(seconds=15 * (rounds - n - 1))
        await store.copy(Sample(at, one, float(order.randrange(1000))) for one in ids)
    return ids


async def contents(connection: Connection) -> list[tuple[Any, ...]]:
    rows = await connection.fetch(
        "select series_id, time, float8send(value) from tsobs_store.sample order by 1, 2"
    )
    return [tuple(row) for row in rows]


async def chunks(connection: Connection) -> list[tuple[bool, float]]:
    """Of each chunk in columns: whether its batches overlap, and how many a reader meets."""
    rows = await connection.fetch(
        "select is_unordered, tsobs_store.batch_depth(relid) from tsobs_store.sample_chunks()"
        " order by relid"
    )
    return [tuple(row) for row in rows]


def encoded(rows: Sequence[tuple[datetime, int, int]]) -> bytes:
    """Binary COPY of (time, series_id, bits)."""
    body = b"".join(
        struct.pack(
            ">hiqiqiQ", 3, 8, (time - EPOCH) // timedelta(microseconds=1), 8, series_id, 8, bits
        )
        for time, series_id, bits in rows
    )
    return b"PGCOPY\n\xff\r\n\0" + bytes(8) + body + b"\xff\xff"


async def test_every_bit_of_a_value_comes_back(store: Store, edition: str) -> None:
    connection = store.connection
    [one] = await store.series({"__name__": "m"})
    times = [NOW - timedelta(hours=3, seconds=100 - n) for n in range(len(BITS))]
    async with connection.transaction():
        await store.fetch("begin_sample_copy")
        await connection.copy_to_table(
            "sample",
            schema_name="tsobs_store",
            source=io.BytesIO(
                encoded([(t, one, bits) for t, bits in zip(times, BITS, strict=True)])
            ),
            columns=["time", "series_id", "value"],
            format="binary",
        )
    wanted = [(one, t, bits.to_bytes(8)) for t, bits in zip(times, BITS, strict=True)]
    assert await contents(connection) == wanted
    if edition == "community":
        await connection.execute(COMPACT)
        assert await contents(connection) == wanted


async def test_samples_have_one_plain_index_and_no_keys(connection: Connection) -> None:
    rows = await connection.fetch(
        "select indisunique from pg_index where indrelid = 'tsobs_store.sample'::regclass"
    )
    assert [row[0] for row in rows] == [False]
    keys = await connection.fetchval(
        "select count(*) from pg_constraint where contype <> 'n'"
        " and conrelid = 'tsobs_store.sample'::regclass"
    )
    assert keys == 0


async def test_settings_of_the_copy_end_with_it(store: Store, connection: Connection) -> None:
    await scrapes(store, 3, 1, until=NOW)
    for name in ("enable_direct_compress_copy", "enable_direct_compress_copy_client_sorted"):
        setting = await connection.fetchval(
            "select current_setting($1, true)", f"timescaledb.{name}"
        )
        assert setting in (None, "off")


async def test_samples_of_many_copies_come_in_order(store: Store, edition: str) -> None:
    """Each COPY is sorted, together they overlap: the planner must know."""
    ids = await scrapes(store, 40, 30, until=NOW - timedelta(hours=3))
    got = [(row[0], row[1]) for row in await contents(store.connection)]
    assert len(got) == 1200
    assert got == sorted(got)
    half = await store.connection.fetch(
        "select time from tsobs_store.sample where series_id = $1 order by time desc limit 10",
        ids[20],
    )
    assert [row[0] for row in half] == sorted((row[0] for row in half), reverse=True)
    if edition == "apache":
        return
    await store.connection.execute(COMPACT)
    assert [(row[0], row[1]) for row in await contents(store.connection)] == got


async def test_the_role_that_copies_needs_no_more(store: Store, edition: str) -> None:
    await store.connection.execute("set session authorization tsobs_ingest")
    await scrapes(store, 5, 2, until=NOW)
    assert await store.fetch("removed_series", 0) == [0]
    count = await store.connection.fetchval("select count(*) from tsobs.sample")
    assert count == 10
    if edition == "apache":
        return
    await store.connection.execute("reset session authorization")
    assert [unordered for unordered, _ in await chunks(store.connection)]


@pytest.mark.community
async def test_an_open_chunk_is_compacted_when_readers_meet_many_batches(
    store: Store, connection: Connection
) -> None:
    start = NOW - timedelta(minutes=NOW.minute % 60, seconds=NOW.second)
    await scrapes(store, 30, 90, until=start + timedelta(minutes=25))
    [(unordered, depth)] = await chunks(connection)
    assert (unordered, round(depth)) == (True, 90)
    before = await contents(connection)
    await connection.execute(COMPACT)
    assert [round(depth) for _, depth in await chunks(connection)] == [90], "not worth it yet"
    await scrapes(store, 30, 30, until=start + timedelta(minutes=40))
    await connection.execute(COMPACT)
    [(unordered, depth)] = await chunks(connection)
    assert not unordered
    assert depth < 2
    after = await contents(connection)
    assert len(after) == 120 * 30
    assert set(before) <= set(after)


@pytest.mark.community
async def test_compaction_takes_a_bounded_share(store: Store, connection: Connection) -> None:
    start = NOW - timedelta(minutes=NOW.minute % 60, seconds=NOW.second)
    await scrapes(store, 3, 120, until=start + timedelta(minutes=40))
    await connection.execute(COMPACT)
    await connection.execute("update tsobs_store.sample_compaction set took = '1 hour'")
    await scrapes(store, 3, 120, until=start + timedelta(minutes=40))
    await connection.execute(COMPACT)
    assert [unordered for unordered, _ in await chunks(connection)] == [True]
    await connection.execute("update tsobs_store.sample_compaction set took = '1 ms'")
    await connection.execute(COMPACT)
    assert [unordered for unordered, _ in await chunks(connection)] == [False]


@pytest.mark.community
async def test_a_chunk_being_written_to_is_left_for_later(
    store: Store, connection: Connection, database_url: str
) -> None:
    """And who writes does not wait for it."""
    start = NOW - timedelta(minutes=NOW.minute % 60, seconds=NOW.second)
    [one, *_] = await scrapes(store, 3, 120, until=start + timedelta(minutes=40))
    other: Connection = await asyncpg.connect(database_url)
    try:
        async with other.transaction():
            await other.fetchval(query("begin_sample_copy"))
            await other.copy_records_to_table(
                "sample", schema_name="tsobs_store", records=[(NOW, one, 1.0)]
            )
            await connection.execute(COMPACT)
            assert [unordered for unordered, _ in await chunks(connection)] == [True]
    finally:
        await other.close()
    await connection.execute(COMPACT)
    assert [unordered for unordered, _ in await chunks(connection)] == [False]
    assert len(await contents(connection)) == 361


@pytest.mark.community
async def test_a_closed_chunk_is_written_anew_once(store: Store, connection: Connection) -> None:
    end = (NOW - timedelta(hours=4)).replace(minute=50, second=0)
    await scrapes(store, 200, 40, until=end)
    before = await contents(connection)
    await connection.execute(COMPACT)
    assert await contents(connection) == before
    [(unordered, depth)] = await chunks(connection)
    assert not unordered
    assert depth < 2
    written = "select rewritten_at from tsobs_store.sample_compaction"
    first = await connection.fetchval(written)
    await connection.execute(COMPACT)
    assert await connection.fetchval(written) == first
    [one] = await store.series({"__name__": "m", "n": "7"})
    await store.copy([Sample(end - timedelta(seconds=1), one, 1.0)])
    await connection.execute(COMPACT)
    assert [unordered for unordered, _ in await chunks(connection)] == [True], "one batch more"
    assert len(await contents(connection)) == len(before) + 1


@pytest.mark.community
async def test_the_job_is_made_once(connection: Connection) -> None:
    for _ in range(2):
        await connection.fetchval("select tsobs_store.maintain()")
        jobs = await connection.fetchval(
            "select count(*) from timescaledb_information.jobs where proc_name = 'compact_samples'"
        )
        assert jobs == 1
