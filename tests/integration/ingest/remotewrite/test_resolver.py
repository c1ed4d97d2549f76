"""Label sets to ids, on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from ingest.remotewrite import resolver as module
from ingest.remotewrite.epochs import Epochs
from ingest.remotewrite.labels import Labels, identity
from ingest.remotewrite.remotemetrics import RemoteWriteMetrics
from ingest.remotewrite.resolver import Resolver
from tests.integration.ingest.sending import Stored
from tsobs.db import open_database
from tsobs.errors import CallerError, Overloaded


def sets(*numbers: int, name: str = "m") -> Mapping[UUID, Labels]:
    every = [(("__name__", name), ("job", "j"), ("n", str(n))) for n in numbers]
    return {identity(labels): labels for labels in every}


@asynccontextmanager
async def running(url: str) -> AsyncIterator[Resolver]:
    async with open_database(url, role="tsobs_ingest", size=2) as database:
        epochs = Epochs(lambda ids: None)
        await epochs.learn(database)
        resolver = Resolver(database, epochs, RemoteWriteMetrics(CollectorRegistry()))
        task = asyncio.create_task(resolver.run())
        yield resolver
        resolver.stop()
        await task


async def test_ids_stay_what_they_are(database_url: str, stored: Stored) -> None:
    async with running(database_url) as one, running(database_url) as other:
        # All of this at once: overlapping sets, from two processes.
        wanted = [sets(*range(n, n + 50)) for n in range(0, 100, 10)]
        answers = await asyncio.gather(
            *(resolver.resolve(some) for some in wanted for resolver in (one, other))
        )
        found: dict[UUID, int] = {}
        for answer in answers:
            assert len(answer) == 50
            assert {**found, **answer} == {**answer, **found}
            found |= answer
        assert len(set(found.values())) == len(found) == 140
        one.forget(None)
        again = await one.resolve(sets(*range(140)))
        assert again == found
    rows = await stored.all("select series_id, labels->>'n' as n from tsobs.series")
    assert {identity(next(iter(sets(int(r["n"])).values()))): r["series_id"] for r in rows} == found
    assert await stored.value("select count(*) from tsobs_store.label") == 142


async def test_many_go_in_parts(
    database_url: str, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SERIES_AT_ONCE", 7)
    monkeypatch.setattr(module, "KEPT_LABELS", 10)
    async with running(database_url) as resolver:
        found = await resolver.resolve(sets(*range(100)))
        assert len(set(found.values())) == 100
        assert len(resolver._labels) <= 10
        assert await resolver.resolve(sets(*range(100))) == found


async def test_what_is_refused_fails_alone(database_url: str, stored: Stored) -> None:
    await stored.connection.execute(
        "alter table tsobs_store.label add constraint poison check (value <> '666')"
    )
    async with running(database_url) as resolver:
        good, bad = sets(1, 2), sets(665, 666)
        tasks = [asyncio.create_task(resolver.resolve(some)) for some in (good, bad, sets(3))]
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(done[1], CallerError)
        assert isinstance(done[0], dict)
        assert isinstance(done[2], dict)


async def test_after_the_end_nothing_is_taken(database_url: str) -> None:
    async with running(database_url) as resolver:
        last = asyncio.create_task(resolver.resolve(sets(1)))
        await asyncio.sleep(0)
        resolver.stop()
        assert len(await last) == 1
        with pytest.raises(Overloaded):
            await resolver.resolve(sets(2))
