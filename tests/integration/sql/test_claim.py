"""The ledger: claim_batches gives every (stream, seq) away once, whoever asks and how often."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from typing import Any

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.sql.observing import Connection

A, B = uuid.UUID(int=1), uuid.UUID(int=2)
SETTINGS = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


async def claim(
    connection: Connection,
    *wanted: tuple[uuid.UUID, int],
    node_id: int = 1,
    machine_id: str = "m",
    body: str = "",
) -> list[str]:
    """The outcome of each claim; bodies differ by seq unless said otherwise."""
    n = len(wanted)
    rows = await connection.fetch(
        "select * from tsobs_store.claim_batches($1, $2, $3, $4, $5) order by ordinal",
        [stream for stream, _ in wanted],
        [seq for _, seq in wanted],
        [node_id] * n,
        [machine_id] * n,
        [f"{seq}{body}".encode() for _, seq in wanted],
    )
    assert [row["ordinal"] for row in rows] == list(range(1, n + 1))
    return [row["outcome"] for row in rows]


async def stream(connection: Connection, of: uuid.UUID = A) -> Any:
    return await connection.fetchrow(
        "select * from tsobs_store.ingest_stream where stream = $1", of
    )


async def test_each_is_new_once(connection: Connection) -> None:
    assert await claim(connection, (A, 1), (A, 2), (B, 1)) == ["new"] * 3
    assert await claim(connection, (A, 2), (A, 3), (B, 1)) == ["duplicate", "new", "duplicate"]
    assert await claim(connection) == []
    held = await stream(connection)
    assert (held["batches"], held["newest_seq"]) == (3, 3)


async def test_twice_in_one_call(connection: Connection) -> None:
    assert await claim(connection, (A, 1), (A, 1)) == ["new", "duplicate"]


async def test_answers_keep_the_order_of_the_questions(connection: Connection) -> None:
    await claim(connection, (A, 5))
    outcome = await claim(connection, (B, 9), (A, 5), (A, 1), (B, 2), (A, 4))
    assert outcome == ["new", "duplicate", "new", "new", "new"]


@SETTINGS
@given(st.lists(st.integers(1, 40), max_size=60), st.integers(1, 7))
async def test_any_order_and_any_age(connection: Connection, seqs: list[int], cut: int) -> None:
    one = uuid.uuid4()
    outcomes: Counter[str] = Counter()
    for start in range(0, len(seqs), cut):
        outcomes.update(await claim(connection, *((one, seq) for seq in seqs[start : start + cut])))
    assert outcomes["new"] == len(set(seqs))
    assert outcomes["duplicate"] == len(seqs) - len(set(seqs))
    held = await stream(connection, one)
    assert (held["newest_seq"] if held else None) == max(seqs, default=None)
    accepted = {
        seq for span in (held["accepted"] if held else []) for seq in range(span.lower, span.upper)
    }
    assert accepted == set(seqs)


async def test_a_stream_belongs_to_one_node_and_machine(connection: Connection) -> None:
    await claim(connection, (A, 1))
    assert await claim(connection, (A, 2), node_id=2) == ["conflict"]
    assert await claim(connection, (A, 2), machine_id="other") == ["conflict"]
    assert await claim(connection, (A, 1), node_id=2) == ["conflict"]
    assert await claim(connection, (A, 2)) == ["new"]


async def test_the_newest_seq_with_another_body_is_a_clone(connection: Connection) -> None:
    await claim(connection, (A, 1), (A, 2))
    assert await claim(connection, (A, 2), body="x") == ["conflict"]
    assert await claim(connection, (A, 2)) == ["duplicate"]
    # Only the newest body is known: an older one is answered as written.
    assert await claim(connection, (A, 1), body="x") == ["duplicate"]
    assert await claim(connection, (A, 3)) == ["new"]
    assert await claim(connection, (A, 2), body="x") == ["duplicate"]


async def test_a_claim_that_is_rolled_back_was_never_made(connection: Connection) -> None:
    transaction = connection.transaction()
    await transaction.start()
    assert await claim(connection, (A, 1)) == ["new"]
    await transaction.rollback()
    assert await claim(connection, (A, 1)) == ["new"]


async def test_a_copy_in_flight_waits_for_the_first(
    connection: Connection, database_url: str
) -> None:
    other: Connection = await asyncpg.connect(database_url)
    for ending, expected in (("rollback", ["new", "new"]), ("commit", ["duplicate", "duplicate"])):
        streams = (uuid.uuid4(), uuid.uuid4())
        await claim(connection, (streams[1], 1))  # one known, one new stream
        transaction = connection.transaction()
        await transaction.start()
        assert await claim(connection, *((one, 2) for one in streams)) == ["new", "new"]
        waiting = asyncio.create_task(claim(other, *((one, 2) for one in streams)))
        done, _ = await asyncio.wait([waiting], timeout=0.1)
        assert not done
        await getattr(transaction, ending)()
        assert await waiting == expected
    await other.close()


async def test_many_sessions_share_nothing(database_url: str) -> None:
    """Eight sessions claim the same 40 batches in random orders and groups, without a deadlock."""
    streams = [uuid.uuid4() for _ in range(4)]
    wanted = [(one, seq) for one in streams for seq in range(1, 11)]

    async def session(seed: int) -> Counter[tuple[uuid.UUID, int]]:
        mine = random.Random(seed)
        connection: Connection = await asyncpg.connect(database_url)
        got: Counter[tuple[uuid.UUID, int]] = Counter()
        order = mine.sample(wanted, len(wanted))
        while order:
            group = [order.pop() for _ in range(min(mine.randint(1, 9), len(order)))]
            async with connection.transaction():
                outcomes = await claim(connection, *group)
                await asyncio.sleep(0)
            got.update(
                pair for pair, outcome in zip(group, outcomes, strict=True) if outcome == "new"
            )
        await connection.close()
        return got

    async with asyncio.timeout(20):
        got = await asyncio.gather(*(session(seed) for seed in range(8)))
    assert sum(got, Counter()) == Counter(wanted)
