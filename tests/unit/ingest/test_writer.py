from __future__ import annotations

import asyncio
import gc
import struct
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import orjson
import pytest
from prometheus_client import CollectorRegistry

from ingest.flush import Outcome
from ingest.names import Names
from ingest.parcel import Opener, Parcel
from ingest.quarrel import TRIES
from ingest.selfmetrics import IngestMetrics
from ingest.writer import GROUP_ROWS, Writer
from tests.batches import Agent, row
from tsobs.db import Database
from tsobs.errors import InvalidRequest, Overloaded
from tsobs.routes import Scope
from tsobs.viewer import Viewer


class FakeDatabase:
    """Takes everything, unless `trouble` raises; counts transactions and the batches in each."""

    def __init__(self) -> None:
        self.flushes: list[int] = []
        self.asked_names = 0
        self.open = asyncio.Event()
        self.open.set()
        self.trouble: Callable[[bytes], None] = lambda data: None
        self.name_trouble: Callable[[str], None] = lambda name: None

    async def fetchval(self, name: str, *args: Any) -> Any:
        if name == "retention_seconds":
            return 7 * 86_400.0
        assert name == "ensure_node"
        self.asked_names += 1
        self.name_trouble(args[1])
        return 1

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[FakeDatabase]:
        await self.open.wait()
        yield self

    async def fetch(self, name: str, *args: Any) -> list[dict[str, Any]]:
        assert name == "claim_batches"
        self.flushes.append(len(args[0]))
        return [{"ordinal": n + 1, "outcome": "new"} for n in range(len(args[0]))]

    async def copy_binary(self, table: str, data: bytes, **_: Any) -> None:
        self.trouble(data)

    async def execute(self, name: str, *args: Any) -> None:
        return


@pytest.fixture
async def database() -> FakeDatabase:
    return FakeDatabase()


def made(database: FakeDatabase, *, queue_bytes: int = 1 << 20, **changes: Any) -> Writer:
    names = Names(cast("Database", database), "home")
    metrics = IngestMetrics(CollectorRegistry())
    settings: dict[str, Any] = {"flush_s": 0.02, "queue_bytes": queue_bytes, "writers": 2}
    opener = Opener(cluster="home", max_decoded_bytes=64 << 20)
    return Writer(cast("Database", database), names, metrics, opener, **(settings | changes))


@asynccontextmanager
async def running(writer: Writer) -> AsyncIterator[Writer]:
    task = asyncio.create_task(writer.run())
    try:
        yield writer
    finally:
        writer.stop()
        async with asyncio.timeout(5):
            await task


POISON = 6.66e6


def parcel(node: str = "n1", *, rows: int = 1, size: int = 0, value: float = 1.0) -> Parcel:
    """A plain body of at least `size` bytes."""
    sent = [row(load1=value)] * rows
    body = orjson.dumps(Agent(node).batch(node_sample=sent))
    return Parcel(body.ljust(size), False, Viewer("t", frozenset({Scope.AGENT})))


async def sent(writer: Writer, one: Parcel) -> Outcome:
    """What became of it."""
    batch, outcome = await writer.submit(one)
    assert batch.node.name
    return outcome


async def every(writer: Writer, parcels: Sequence[Parcel]) -> list[Outcome | BaseException]:
    """All at once; an error in the place of an outcome."""
    tries = (sent(writer, one) for one in parcels)
    return await asyncio.gather(*tries, return_exceptions=True)


async def test_many_batches_share_a_flush(database: FakeDatabase) -> None:
    async with running(made(database)) as writer:
        outcomes = await asyncio.gather(*(sent(writer, parcel(f"n{n}")) for n in range(50)))
    assert {outcome.status for outcome in outcomes} == {"accepted"}
    assert all(outcome.stored == {"node_sample": 1} for outcome in outcomes)
    assert sum(database.flushes) == 50
    assert len(database.flushes) < 10


async def test_a_flush_has_a_bound(database: FakeDatabase) -> None:
    async with running(made(database)) as writer:
        half = GROUP_ROWS // 2 + 1
        await asyncio.gather(*(sent(writer, parcel(rows=half)) for _ in range(4)))
        assert database.flushes == [1, 1, 1, 1]
        # One batch that is larger than the bound still goes.
        await sent(writer, parcel(rows=GROUP_ROWS + 1))


async def test_a_full_queue_refuses_and_takes_again_when_it_is_flushed(
    database: FakeDatabase,
) -> None:
    database.open.clear()
    async with running(made(database, queue_bytes=1250)) as writer:
        first = [asyncio.create_task(sent(writer, parcel(size=500))) for _ in range(2)]
        await asyncio.sleep(0.05)
        with pytest.raises(Overloaded, match="queue is full") as refused:
            await sent(writer, parcel(size=500))
        assert refused.value.retry_after_s > 0
        database.open.set()
        await asyncio.gather(*first)
        assert (await sent(writer, parcel(size=500))).status == "accepted"
        # One that is larger than the whole queue goes when nothing else waits.
        assert (await sent(writer, parcel(size=5000))).status == "accepted"


async def test_stop_lets_what_is_queued_be_written(database: FakeDatabase) -> None:
    database.open.clear()
    writer = made(database)
    task = asyncio.create_task(writer.run())
    waiting = [asyncio.create_task(sent(writer, parcel(f"n{n}"))) for n in range(30)]
    await asyncio.sleep(0.01)
    writer.stop()
    with pytest.raises(Overloaded, match="stopping"):
        await sent(writer, parcel())
    database.open.set()
    outcomes = await asyncio.gather(*waiting)
    await task
    assert {outcome.status for outcome in outcomes} == {"accepted"}
    assert sum(database.flushes) == 30


async def test_stop_may_come_early_late_and_twice(database: FakeDatabase) -> None:
    async with asyncio.timeout(5):
        early = made(database)
        early.stop()
        await early.run()
        queued = made(database)
        waiting = asyncio.create_task(sent(queued, parcel()))
        await asyncio.sleep(0)
        queued.stop()
        queued.stop()
        await queued.run()
        assert (await waiting).status == "accepted"
        queued.stop()
        idle = made(database, writers=5)
        task = asyncio.create_task(idle.run())
        await asyncio.sleep(0.01)
        idle.stop()
        idle.stop()
        await task


async def test_who_gave_up_waiting_is_no_harm(database: FakeDatabase) -> None:
    async with running(made(database)) as writer:
        left = asyncio.create_task(sent(writer, parcel()))
        stayed = asyncio.create_task(sent(writer, parcel("n2")))
        await asyncio.sleep(0)
        left.cancel()
        assert (await stayed).status == "accepted"
    assert sum(database.flushes) == 2


def poisoned(error: Exception) -> Callable[[bytes], None]:
    mark = struct.pack(">d", POISON)

    def trouble(data: bytes) -> None:
        if mark in data:
            raise error

    return trouble


@pytest.mark.parametrize(
    "error", [InvalidRequest("the database refuses the data"), ValueError("a fault of our own")]
)
async def test_a_bad_batch_never_fails_its_neighbours(
    database: FakeDatabase, error: Exception
) -> None:
    database.trouble = poisoned(error)
    async with running(made(database)) as writer:
        parcels = [parcel(f"n{n}", value=POISON if n % 4 == 2 else 1.0) for n in range(12)]
        found = await asyncio.gather(
            *(sent(writer, one) for one in parcels), return_exceptions=True
        )
        for n, outcome in enumerate(found):
            if n % 4 == 2:
                assert outcome is error
            else:
                assert not isinstance(outcome, BaseException)
                assert outcome.status == "accepted"
        assert (await sent(writer, parcel())).status == "accepted"


@pytest.mark.parametrize("error", [InvalidRequest("too long"), KeyError("a fault of our own")])
async def test_a_batch_whose_names_fail_never_fails_its_neighbours(
    database: FakeDatabase, error: Exception
) -> None:
    def trouble(name: str) -> None:
        if name == "bad":
            raise error

    database.name_trouble = trouble
    async with running(made(database)) as writer:
        parcels = [parcel("n1"), parcel("bad"), parcel("n2")]
        found = await asyncio.gather(
            *(sent(writer, one) for one in parcels), return_exceptions=True
        )
    assert found[1] is error
    assert [outcome.status for outcome in (found[0], found[2])] == ["accepted"] * 2  # type: ignore[union-attr]


async def test_while_the_database_is_away_all_hear_at_once(database: FakeDatabase) -> None:
    def away(_: Any) -> None:
        raise Overloaded("the database is away")

    async with running(made(database, writers=1)) as writer:
        database.name_trouble = away
        parcels = [parcel(f"n{n}") for n in range(20)]
        found = await asyncio.gather(
            *(sent(writer, one) for one in parcels), return_exceptions=True
        )
        assert all(isinstance(error, Overloaded) for error in found)
        # Not each its own time-out.
        assert database.asked_names < 10
        database.name_trouble = lambda name: None
        database.trouble = away
        found = await asyncio.gather(
            *(sent(writer, parcel(f"n{n}")) for n in range(20)), return_exceptions=True
        )
        assert all(isinstance(error, Overloaded) for error in found)
        assert len(database.flushes) < 10
        database.trouble = lambda data: None
        assert (await sent(writer, parcel())).status == "accepted"


@pytest.mark.parametrize("times", [1, TRIES - 1, TRIES])
async def test_a_deadlock_is_tried_again(database: FakeDatabase, times: int) -> None:
    left = times

    def deadlock(_: bytes) -> None:
        nonlocal left
        if left:
            left -= 1
            raise Overloaded("not now", sqlstate="40P01")

    database.trouble = deadlock
    async with running(made(database)) as writer:
        if times < TRIES:
            assert (await sent(writer, parcel())).status == "accepted"
        else:
            with pytest.raises(Overloaded):
                await sent(writer, parcel())


async def test_one_batch_alone_does_not_wait_for_company(database: FakeDatabase) -> None:
    async with running(made(database, flush_s=0.2)) as writer:
        started = asyncio.get_running_loop().time()
        for _ in range(3):
            await sent(writer, parcel())
        assert asyncio.get_running_loop().time() - started < 0.2


async def test_a_refused_body_is_let_go_with_its_answer(database: FakeDatabase) -> None:
    """No cycle of error and future keeps it until the collector comes."""
    gc.disable()
    try:
        async with running(made(database)) as writer:
            body = bytes(bytearray(b"{" * 100))
            held = sys.getrefcount(body)
            with pytest.raises(InvalidRequest):
                await writer.submit(Parcel(body, False, Viewer("t", frozenset({Scope.AGENT}))))
            await writer.submit(parcel())
            assert sys.getrefcount(body) == held
    finally:
        gc.enable()
