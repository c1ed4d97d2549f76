"""What metrics mean is written when it is news."""

from __future__ import annotations

import pytest

from ingest.remotewrite import metadata as module
from ingest.remotewrite.metadata import MetadataStore
from tests.fix_proxy import Proxy
from tests.integration.ingest.sending import Stored
from tsobs.db import open_database
from tsobs.errors import Overloaded

WRITTEN = "select metric, type, help, unit, xmin::text as version from tsobs_store.metric_metadata"


async def versions(stored: Stored) -> dict[str, str]:
    return {row["metric"]: row["version"] for row in await stored.all(WRITTEN)}


async def test_only_news_is_written(database_proxy: Proxy, stored: Stored) -> None:
    async with open_database(database_proxy.url, role="tsobs_ingest", size=1) as database:
        store = MetadataStore(database)
        told = [("a", ("counter", "A.", "")), ("b", ("gauge", "B.", "bytes"))]
        await store.put([])
        await store.put(told)
        before = await versions(stored)
        # Without a word to the database.
        await database_proxy.cut()
        await store.put([*told, *told])
        with pytest.raises(Overloaded):
            await store.put([("a", ("counter", "All.", ""))])
        await database_proxy.open()
        await store.put([("a", ("gauge", "not the last", "")), ("a", ("counter", "All.", ""))])
        after = await versions(stored)
        assert (after["b"], after["a"] != before["a"]) == (before["b"], True)
        help = await stored.value("select help from tsobs.metric_metadata where metric = 'a'")
        assert help == "All."


async def test_what_is_remembered_is_bounded(
    database_url: str, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT", 10)
    async with open_database(database_url, role="tsobs_ingest", size=1) as database:
        store = MetadataStore(database)
        for n in range(0, 30, 5):
            await store.put((f"m{k}", ("gauge", "", "")) for k in range(n, n + 5))
        assert len(store._written) == 10
    assert await stored.value("select count(*) from tsobs.metric_metadata") == 30
