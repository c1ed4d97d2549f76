"""One connection for many transactions, on a real server."""

from __future__ import annotations

import asyncio

import pytest

from ingest.remotewrite.keptconnection import KeptConnection
from tests.fix_proxy import Proxy
from tests.integration.ingest.sending import Stored
from tsobs.db import Connection, open_database
from tsobs.errors import Overloaded

BACKENDS = "select pid from pg_stat_activity where application_name = 'kept'"


async def epoch(connection: Connection) -> int:
    found: int = await connection.fetchval("begin_sample_copy")
    return found


async def failing(kept: KeptConnection) -> None:
    async with kept.transaction() as connection:
        await epoch(connection)
        raise ValueError("mine")


async def cut_inside(kept: KeptConnection, proxy: Proxy) -> None:
    async with kept.transaction() as connection:
        await proxy.cut()
        await epoch(connection)


async def test_it_is_the_same_one_until_something_fails(
    database_proxy: Proxy, stored: Stored
) -> None:
    url = database_proxy.url
    async with open_database(url, role="tsobs_ingest", size=1, application_name="kept") as database:
        kept = KeptConnection(database)
        pids = set()
        for _ in range(3):
            async with kept.transaction() as connection:
                await epoch(connection)
            pids |= {row["pid"] for row in await stored.all(BACKENDS)}
        assert len(pids) == 1
        with pytest.raises(ValueError, match="mine"):
            await failing(kept)
        # Rolled back, and handed to the pool: nothing is locked, and it may be taken by others.
        assert await stored.value("select count(*) from pg_locks where locktype = 'advisory'") == 0
        await database.fetchval("sample_retention_seconds")
        async with kept.transaction() as connection:
            await epoch(connection)
        await kept.give_back()


async def test_one_that_broke_is_replaced(database_proxy: Proxy, stored: Stored) -> None:
    url = database_proxy.url
    async with open_database(url, role="tsobs_ingest", size=1, application_name="kept") as database:
        kept = KeptConnection(database)
        for _ in range(3):
            async with kept.transaction() as connection:
                await epoch(connection)
            # It ends while nobody uses it, then in a transaction, then while it is away.
            await stored.connection.execute(f"select pg_terminate_backend(pid) from ({BACKENDS}) b")
            await asyncio.sleep(0.1)
            async with kept.transaction() as connection:
                await epoch(connection)
            with pytest.raises(Overloaded):
                await cut_inside(kept, database_proxy)
            with pytest.raises(Overloaded):
                await cut_inside(kept, database_proxy)
            await database_proxy.open()
        await kept.give_back()
        await kept.give_back()
