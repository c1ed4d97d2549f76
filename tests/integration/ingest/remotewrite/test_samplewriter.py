"""The group commit, on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from ingest.remotewrite.epochs import Epochs
from ingest.remotewrite.remotemetrics import RemoteWriteMetrics
from ingest.remotewrite.sampleflush import Stale
from ingest.remotewrite.samplewriter import SampleWriter
from tests.integration.ingest.remotewrite.test_sampleflush import NOW, body
from tests.integration.ingest.sending import Stored
from tsobs.db import open_database
from tsobs.errors import Overloaded

REGISTRY = CollectorRegistry


@asynccontextmanager
async def running(url: str, registry: CollectorRegistry) -> AsyncIterator[SampleWriter]:
    async with open_database(url, role="tsobs_ingest", size=2) as database:
        epochs = Epochs(lambda ids: None)
        await epochs.learn(database)
        writer = SampleWriter(database, epochs, RemoteWriteMetrics(registry), writers=2)
        task = asyncio.create_task(writer.run())
        yield writer
        writer.stop()
        await task


async def test_bodies_share_commits_and_equal_ones_count_once(
    database_url: str, stored: Stored
) -> None:
    registry = CollectorRegistry()
    async with running(database_url, registry) as writer:
        bodies = [body(f"b{n}", 0, [(1, NOW - n, 1.0), (2, NOW - n, 1.0)]) for n in range(100)]
        answers = await asyncio.gather(*map(writer.submit, [*bodies, *bodies]))
        assert sum(answers) == 100
        assert not any(await asyncio.gather(*map(writer.submit, bodies)))
    assert await stored.value("select count(*) from tsobs_store.sample") == 200
    value = registry.get_sample_value
    assert value("tsobs_remote_write_samples_total", {"kind": "sample"}) == 200
    commits = value("tsobs_remote_write_flush_samples_count")
    assert commits is not None
    assert 1 <= commits < 20
    assert value("tsobs_remote_write_queue_bodies") == 0
    assert value("tsobs_remote_write_queue_samples") == 0


async def test_stale_bodies_hear_so_and_their_neighbours_are_stored(
    database_url: str, stored: Stored
) -> None:
    async with running(database_url, CollectorRegistry()) as writer:
        await stored.connection.execute(
            "insert into tsobs_store.series_removed (epoch, series_ids)"
            " values (tsobs_store.series_epoch() + 1, '{9}')"
        )
        epoch = writer._epochs.known
        several = [body(f"b{n}", epoch, [(9 if n == 3 else 1, NOW - n, 1.0)]) for n in range(6)]
        done = await asyncio.gather(*map(writer.submit, several), return_exceptions=True)
        assert [type(one) for one in done] == [bool] * 3 + [Stale] + [bool] * 2
    assert await stored.value("select count(*) from tsobs_store.sample") == 5


async def test_what_is_queued_at_the_end_is_stored(database_url: str, stored: Stored) -> None:
    async with running(database_url, CollectorRegistry()) as writer:
        last = [asyncio.create_task(writer.submit(body(f"b{n}", 0, [(1, NOW - n, 1.0)])))
                for n in range(50)]  # fmt: skip
        await asyncio.sleep(0)
        writer.stop()
        with pytest.raises(Overloaded):
            await writer.submit(body("late", 0, [(1, NOW, 1.0)]))
        assert all(await asyncio.gather(*last))
    assert await stored.value("select count(*) from tsobs_store.sample") == 50
