"""Series that are sampled again are told to the database before their samples are stored."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.remotewrite import receiver
from ingest.remotewrite.toucher import Toucher
from tests.fix_proxy import Proxy
from tests.fix_service import StartService
from tests.integration.ingest.remotewrite.test_retries import body
from tests.integration.ingest.remotewrite.writing import open_remote
from tests.integration.ingest.sending import Stored
from tsobs.db import open_database
from tsobs.errors import Overloaded

END = (
    "update tsobs_store.series set last_seen = now() - interval '5 hours',"
    " ended_at = now() - interval '3 hours'"
)
ALIVE = "select count(*) from tsobs.series where ended_at is null"


async def test_what_was_not_told_is_owed(
    start_service: StartService, database_proxy: Proxy, stored: Stored
) -> None:
    async with open_remote(await start_service()) as remote:
        assert (await remote.post(body(0))).status == 204
    ids = np.array([row["series_id"] for row in await stored.rows("series")], np.int64)
    await stored.connection.execute(END)
    nobody = np.array([], np.int64)
    async with open_database(database_proxy.url, role="tsobs_ingest", size=1) as database:
        toucher = Toucher(database)
        await toucher.touch(nobody)
        await toucher.touch(ids[:5])
        assert await stored.value(ALIVE) == 5
        await database_proxy.cut()
        with pytest.raises(Overloaded):
            await toucher.touch(ids[5:15])
        # Nothing goes on before it is told.
        with pytest.raises(Overloaded):
            await toucher.touch(nobody)
        await database_proxy.open()
        await toucher.touch(nobody)
        assert await stored.value(ALIVE) == 15
        await toucher.touch(ids)
        assert await stored.value(ALIVE) == 20


async def test_a_service_revives_what_it_samples_in_another_hour(
    start_service: StartService, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_remote(await start_service()) as remote:
        assert (await remote.post(body(0))).status == 204
        await stored.connection.execute(END)
        # In the same hour nothing is told again.
        assert (await remote.post(body(1))).status == 204
        assert await stored.value(ALIVE) == 0
        monkeypatch.setattr(receiver, "HOUR_S", 60)
        assert (await remote.post(body(2))).status == 204
        assert await stored.value(ALIVE) == 20
