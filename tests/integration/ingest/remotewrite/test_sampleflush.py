"""One commit of many bodies, on a real database."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from ingest.remotewrite.epochs import Epochs
from ingest.remotewrite.keptconnection import KeptConnection
from ingest.remotewrite.sampleflush import Stale, prepare, store
from ingest.remotewrite.storedbody import StoredBody, body_hash
from tests.integration.ingest.sending import Stored
from tests.remotebodies import now_ms
from tsobs.db import open_database

NOW = now_ms() // 300_000 * 300_000


def body(name: str, epoch: int, rows: Sequence[tuple[int, int, float]]) -> StoredBody:
    ids, times, values = (np.array(column) for column in zip(*rows, strict=True))
    bits = values.astype(np.float64).view(np.uint64)
    return StoredBody(body_hash(name.encode(), 1), epoch, ids.astype(np.int64), times, bits)


def test_what_is_the_same_is_prepared_once_and_buckets_are_told() -> None:
    one = body("one", 1, [(7, NOW, 1.0), (7, NOW, 1.0), (7, NOW, 2.0), (3, NOW + 1, 1.0)])
    two = body("two", 1, [(7, NOW, 1.0), (7, NOW + 299_999, 1.0), (7, NOW - 3_000_000, 1.0)])
    prepared = prepare([one, two])
    assert (prepared.samples, prepared.identical) == (5, 2)
    assert [round(at.timestamp() * 1000) for at in prepared.buckets] == [NOW - 3_000_000, NOW]
    [only] = prepare([body("x", 1, [(1, NOW - 1, 0.0)])]).buckets
    assert only.timestamp() * 1000 == NOW - 300_000
    nothing = prepare([one._replace(series_id=one.series_id[:0])])
    assert (nothing.data, nothing.samples, list(nothing.buckets)) == (b"", 0, [])


async def test_bodies_that_were_there_are_not_copied(database_url: str, stored: Stored) -> None:
    async with open_database(database_url, role="tsobs_ingest", size=2) as database:
        kept, epochs = KeptConnection(database), Epochs(lambda ids: None)
        await epochs.learn(database)
        one = body("one", epochs.known, [(7, NOW, 1.0)])
        two = body("two", epochs.known, [(7, NOW, 2.0), (8, NOW, 2.0)])
        assert (await store(kept, epochs, prepare([one]))).samples == 1
        again = await store(kept, epochs, prepare([one, two]))
        assert ([each.hash for each in again.bodies], again.samples) == ([two.hash], 2)
        nothing = await store(kept, epochs, prepare([two, one]))
        assert (nothing.bodies, nothing.samples) == ((), 0)
        await kept.give_back()
    assert await stored.value("select sum(value) from tsobs_store.sample") == 5.0
    assert await stored.value("select count(*) from tsobs_store.ingest_body") == 2


async def test_bodies_of_removed_series_are_stale_and_nothing_is_stored(
    database_url: str, stored: Stored
) -> None:
    forgotten: list[object] = []
    async with open_database(database_url, role="tsobs_ingest", size=2) as database:
        kept, epochs = KeptConnection(database), Epochs(forgotten.append)
        await epochs.learn(database)
        bad = body("bad", epochs.known, [(7, NOW, 1.0), (9, NOW, 1.0)])
        good = body("good", epochs.known, [(7, NOW, 2.0)])
        await stored.connection.execute(
            "insert into tsobs_store.series_removed (epoch, series_ids)"
            " values (tsobs_store.series_epoch() + 1, '{9}')"
        )
        with pytest.raises(Stale) as stale:
            await store(kept, epochs, prepare([bad, good]))
        assert stale.value.hashes == {bad.hash}
        assert forgotten == [[9]]
        assert await stored.value("select count(*) from tsobs_store.ingest_body") == 0
        assert (await store(kept, epochs, prepare([good]))).samples == 1
        await kept.give_back()
