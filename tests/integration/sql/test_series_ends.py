"""How series end and are removed, and how those who remember them learn of it."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import asyncpg

from tests.integration.sql.labelled import Sample, Store
from tests.integration.sql.observing import Connection
from tsobs.sqlfiles import query

UP = {"__name__": "up", "instance": "a"}


async def removed(connection: Connection, since: int) -> tuple[int, list[int] | None]:
    row = await connection.fetchrow(query("removed_series"), since)
    assert row is not None
    return row["epoch"], row["series_ids"]


async def ended_at(connection: Connection, series_id: int) -> datetime | None:
    found: datetime | None = await connection.fetchval(
        "select ended_at from tsobs.series where series_id = $1", series_id
    )
    return found


async def test_a_series_ends_three_hours_after_it_was_last_touched(
    store: Store, connection: Connection
) -> None:
    """Its end is later than any sample that it may have had."""
    young, old = await store.series(UP, UP | {"instance": "b"})
    await store.age([young], 2.9)
    await store.age([old], 3.1)
    assert await store.fetch("end_series") == [1]
    assert await ended_at(connection, young) is None
    end = await ended_at(connection, old)
    assert end is not None
    assert timedelta(hours=1) < datetime.now(UTC) - end < timedelta(hours=1.2)
    assert await store.fetch("end_series") == [0]


async def test_what_has_no_samples_in_any_tier_is_removed(
    store: Store, connection: Connection, edition: str
) -> None:
    kept, gone, alive = await store.series(*(UP | {"instance": i} for i in "abc"))
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=8)
    await store.copy([Sample(hour, kept, 1.0)])
    await store.age([kept], 9)
    await store.age([gone], 30)
    assert await store.fetch("end_series") == [2]
    assert await store.fetch("remove_series") == [1]
    assert await store.fetch("remove_series") == [0]
    rows = await connection.fetch("select series_id from tsobs.series order by 1")
    assert [row[0] for row in rows] == sorted([kept, alive])
    # the rollup alone keeps a series, too
    if edition == "community":
        await connection.execute(
            "call refresh_continuous_aggregate('tsobs_store.sample_5m', null, null)"
        )
    else:
        while (await store.fetch("roll_samples"))[0]:
            pass
    await connection.execute("select drop_chunks('tsobs_store.sample', older_than => now())")
    assert await connection.fetchval("select count(*) from tsobs_store.sample") == 0
    assert await store.fetch("remove_series") == [0]


async def test_an_id_is_never_used_again(store: Store, connection: Connection) -> None:
    [first] = await store.series(UP)
    await store.age([first], 30)
    await store.fetch("end_series")
    assert await store.fetch("remove_series") == [1]
    assert await store.fetch("touch_series", [first]) == [first]
    [second] = await store.series(UP)
    assert second > first
    assert await removed(connection, 0) == (1, [first])


async def test_caches_learn_what_went(store: Store, connection: Connection) -> None:
    assert await removed(connection, 0) == (0, [])
    ids = await store.series(*(UP | {"instance": i} for i in "abc"))
    for n, one in enumerate(ids):
        await store.age([one], 30)
        await store.fetch("end_series")
        assert await store.fetch("remove_series") == [1]
        assert await store.fetch("begin_sample_copy") == [n + 1]
    assert await removed(connection, 3) == (3, [])
    assert await removed(connection, 1) == (3, sorted(ids[1:]))
    # another database was restored under a process that knew a later one
    assert await removed(connection, 9) == (3, None)
    await connection.execute("delete from tsobs_store.series_removed where epoch = 1")
    assert await removed(connection, 0) == (3, None)
    assert await removed(connection, 1) == (3, sorted(ids[1:]))


async def test_old_removals_are_forgotten_but_the_last(
    store: Store, connection: Connection
) -> None:
    ids = await store.series(*(UP | {"instance": i} for i in "ab"))
    for one in ids:
        await store.age([one], 30)
        await store.fetch("end_series")
        await store.fetch("remove_series")
    await connection.execute("update tsobs_store.series_removed set removed_at = '2020-01-01'")
    await store.fetch("remove_series")
    assert await removed(connection, 0) == (2, None)
    assert await removed(connection, 2) == (2, [])


async def test_nothing_is_removed_while_someone_copies(store: Store, database_url: str) -> None:
    """Whoever found the series before may still write to it; it is tried again later."""
    [one] = await store.series(UP)
    await store.age([one], 30)
    await store.fetch("end_series")
    other: Connection = await asyncpg.connect(database_url)
    try:
        async with other.transaction():
            assert await other.fetchval(query("begin_sample_copy")) == 0
            async with asyncio.timeout(10):
                assert await store.fetch("remove_series") == [0]
            # who writes meanwhile is not held up
            async with asyncio.timeout(1), store.connection.transaction():
                assert await store.fetch("begin_sample_copy") == [0]
        assert await store.fetch("remove_series") == [1]
    finally:
        await other.close()


async def test_a_touch_before_the_copy_saves_a_series(store: Store, database_url: str) -> None:
    [one] = await store.series(UP)
    await store.age([one], 30)
    await store.fetch("end_series")
    other: Connection = await asyncpg.connect(database_url)
    try:
        async with other.transaction():
            assert [row[0] for row in await other.fetch(query("touch_series"), [one])] == []
            assert await store.fetch("remove_series") == [0]
    finally:
        await other.close()
    assert await store.fetch("remove_series") == [0]
    assert await store.series(UP) == [one]


async def test_bodies_are_forgotten_after_a_day(store: Store, connection: Connection) -> None:
    young, old = sorted([uuid.uuid4(), uuid.uuid4()])
    await store.fetch("claim_bodies", [young, old])
    age = "update tsobs_store.ingest_body set accepted_at = now() - $2::interval where hash = $1"
    await connection.execute(age, young, timedelta(hours=23.9))
    await connection.execute(age, old, timedelta(hours=24.1))
    assert await store.fetch("expire_bodies") == [1]
    assert await store.fetch("expire_bodies") == [0]
    assert await store.fetch("claim_bodies", [young, old]) == [old]
