"""A database that is away, empty, or comes late."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.fix_proxy import Proxy
from tsobs.errors import SetupError
from tsobs.readiness import prepare_database
from tsobs.settings import Settings


async def test_a_database_that_is_ready(database_url: str) -> None:
    await prepare_database(Settings(database_url=database_url, read_database_url=database_url))


async def test_it_waits_for_one_that_comes_late(
    database_proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    await database_proxy.cut()
    preparing = asyncio.create_task(prepare_database(Settings(database_url=database_proxy.url)))
    await asyncio.sleep(0.5)
    assert not preparing.done()
    await database_proxy.open()
    async with asyncio.timeout(10):
        await preparing
    assert sum("waiting for the database" in message for message in caplog.messages) == 1


async def test_it_gives_up_and_says_what_to_do(database_proxy: Proxy) -> None:
    await database_proxy.cut()
    before = time.monotonic()
    with pytest.raises(SetupError, match="does not answer") as raised:
        await prepare_database(Settings(database_url=database_proxy.url), patience_s=0.5)
    assert time.monotonic() - before < 5
    assert "tsobs db start" in raised.value.message
    assert "DATABASE_URL" in raised.value.message
    password = database_proxy.url.split(":")[2].split("@")[0]
    assert password not in raised.value.message


async def test_what_waiting_cannot_mend_fails_at_once(database_url: str) -> None:
    before = time.monotonic()
    url = database_url.rpartition("/")[0] + "/no_such_database"
    with pytest.raises(SetupError, match="no_such_database"):
        await prepare_database(Settings(database_url=url))
    with pytest.raises(SetupError, match="tsobs db start"):
        await prepare_database(Settings())
    assert time.monotonic() - before < 5


async def test_the_schema_is_checked_and_made_when_asked(empty_database_url: str) -> None:
    with pytest.raises(SetupError, match="tsobs migrate"):
        await prepare_database(Settings(database_url=empty_database_url))
    await prepare_database(Settings(database_url=empty_database_url, migrate=True))
    await prepare_database(Settings(database_url=empty_database_url))


async def test_a_replica_is_waited_for_too(database_url: str, database_proxy: Proxy) -> None:
    await database_proxy.cut()
    settings = Settings(database_url=database_url, read_database_url=database_proxy.url)
    with pytest.raises(SetupError, match="does not answer"):
        await prepare_database(settings, patience_s=0.1)
