"""Labels and series: created once whoever asks, found again, revived, and touched in place."""

from __future__ import annotations

import asyncio
import random
import uuid

import asyncpg
import pytest

from tests.integration.sql.labelled import Store, bytes_of
from tests.integration.sql.observing import Connection

UP = {"__name__": "up", "job": "node", "instance": "n1:9100"}


async def test_labels_keep_the_order_and_their_ids(store: Store) -> None:
    first = await store.labels(("job", "a"), ("job", "b"), ("instance", "a"))
    assert len(set(first)) == 3
    again = await store.labels(("instance", "a"), ("new", "x"), ("job", "a"))
    assert (again[0], again[2]) == (first[2], first[0])
    assert again[1] not in first
    assert await store.labels() == []


@pytest.mark.parametrize("length", [254, 255, 256, 2_700, 16_384])
async def test_long_values_are_told_apart(store: Store, length: int) -> None:
    """Beyond what an index entry holds, and where letters have four bytes."""
    values = ["x" * length, "x" * (length - 1) + "y", "x" * (length - 1), "😀" * (length // 4)]
    ids = await store.labels(*(("v", value) for value in values))
    assert len(set(ids)) == 4
    assert await store.labels(*(("v", value) for value in reversed(values))) == ids[::-1]
    held = await store.connection.fetch(
        "select value from tsobs_store.label where label_id = any ($1::int[])"
        " order by array_position($1::int[], label_id)",
        ids,
    )
    assert [row["value"] for row in held] == values


async def test_a_name_of_the_longest_kind_with_a_value_of_wide_letters(store: Store) -> None:
    [one] = await store.labels(("n" * 1024, "😀" * 4096))
    assert await store.labels(("n" * 1024, "😀" * 4096)) == [one]


async def test_series_keep_the_order_and_their_ids(store: Store) -> None:
    other = UP | {"instance": "n2:9100"}
    bare = {"__name__": "up"}
    first = await store.series(UP, bare, other)
    assert await store.series(other, UP, bare) == [first[2], first[0], first[1]]
    rows = await store.connection.fetch("select series_id, metric, labels from tsobs.series")
    assert {row["series_id"]: row["labels"] for row in rows} == dict(
        zip(first, [UP, bare, other], strict=True)
    )
    assert {row["metric"] for row in rows} == {"up"}


async def test_new_to_all_at_once_is_created_once(store: Store, database_url: str) -> None:
    """Eight processes meet the same thousand series, each in an order of its own."""
    sets = [{"__name__": f"m{n % 7}", "node": f"n{n}", "job": "x"} for n in range(1000)]

    async def meet(seed: int) -> dict[uuid.UUID, int]:
        mine = sets[:]
        random.Random(seed).shuffle(mine)
        connection = await asyncpg.connect(database_url)
        try:
            found: dict[uuid.UUID, int] = {}
            for start in range(0, len(mine), 250):
                part = mine[start : start + 250]
                ids = await Store(connection).series(*part)
                found |= zip(map(bytes_of, part), ids, strict=True)
            return found
        finally:
            await connection.close()

    answers = await asyncio.gather(*(meet(seed) for seed in range(8)))
    assert all(answer == answers[0] for answer in answers)
    assert len(set(answers[0].values())) == 1000
    counts = await store.connection.fetchrow(
        "select (select count(*) from tsobs_store.series) as series,"
        " (select count(*) from tsobs_store.label) as labels"
    )
    assert counts is not None
    assert tuple(counts) == (1000, 7 + 1000 + 1)


async def test_touching_and_resolving_at_once_never_deadlock(
    store: Store, database_url: str
) -> None:
    sets = [{"__name__": "m", "n": str(n)} for n in range(300)]
    ids = await store.series(*sets)

    async def work(seed: int) -> None:
        order = random.Random(seed)
        connection = await asyncpg.connect(database_url)
        mine = Store(connection)
        try:
            for _ in range(8):
                await mine.age(sorted(order.sample(ids, 20)), 1)
                order.shuffle(sets)
                await mine.series(*sets[:200])
                assert await mine.fetch("touch_series", order.sample(ids, 200)) == []
        finally:
            await connection.close()

    async with asyncio.timeout(30):
        await asyncio.gather(*(work(seed) for seed in range(4)))


async def test_what_ended_lives_again(store: Store, connection: Connection) -> None:
    ids = await store.series(UP, {"__name__": "x"})
    await store.age(ids, 5)
    assert await store.fetch("end_series") == [2]
    assert await store.series(UP) == ids[:1]
    assert await store.fetch("touch_series", [*ids, 999]) == [999]
    rows = await connection.fetch(
        "select ended_at, now() - last_seen < interval '1 minute' as is_recent"
        " from tsobs_store.series"
    )
    assert [tuple(row) for row in rows] == [(None, True)] * 2


async def test_a_touch_stays_in_its_page(store: Store, connection: Connection) -> None:
    """So that an hour's touches neither grow an index nor leave work for vacuum."""
    ids = await store.series(*({"__name__": "m", "n": str(n)} for n in range(500)))
    await store.age(ids, 1)
    async with connection.transaction():
        await store.fetch("touch_series", ids[::5])
        counts = await connection.fetchrow(
            "select pg_stat_get_xact_tuples_updated(oid) as updated,"
            " pg_stat_get_xact_tuples_hot_updated(oid) as hot"
            " from pg_class where oid = 'tsobs_store.series'::regclass"
        )
    assert counts is not None
    assert counts["updated"] >= 100
    assert counts["hot"] >= 0.9 * 100


async def test_a_series_touched_lately_is_left_alone(store: Store, connection: Connection) -> None:
    ids = await store.series(UP)
    before = await connection.fetchval("select xmin::text from tsobs_store.series")
    await store.fetch("touch_series", ids)
    await store.series(UP)
    assert await connection.fetchval("select xmin::text from tsobs_store.series") == before


async def test_a_body_is_claimed_once(store: Store, database_url: str) -> None:
    """Also when it is in flight elsewhere: the second waits for the first one's commit."""
    first, second = sorted([uuid.uuid4(), uuid.uuid4()])
    other: Connection = await asyncpg.connect(database_url)
    try:
        transaction = store.connection.transaction()
        await transaction.start()
        assert await store.fetch("claim_bodies", [first, second]) == [first, second]
        waiting = asyncio.create_task(Store(other).fetch("claim_bodies", [second]))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await transaction.commit()
        assert await waiting == []
        assert await store.fetch("claim_bodies", [first]) == []
    finally:
        await other.close()


async def test_metadata_is_the_last_told(store: Store, connection: Connection) -> None:
    put = "put_metadata"
    assert await store.fetch(put, ["b", "a"], ["gauge", "counter"], ["B", "A"], ["", "s"]) == [2]
    assert await store.fetch(put, ["a", "b"], ["counter", "gauge"], ["A", "news"], ["s", ""]) == [1]
    assert await store.fetch(put, [], [], [], []) == [0]
    rows = await connection.fetch(
        "select metric, type, help, unit from tsobs.metric_metadata order by 1"
    )
    assert [tuple(row) for row in rows] == [
        ("a", "counter", "A", "s"),
        ("b", "gauge", "news", ""),
    ]
