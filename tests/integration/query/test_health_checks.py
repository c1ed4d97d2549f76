"""GET /v1/health asks the database, and only the database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from aiohttp import ClientSession

from tests.fix_proxy import Proxy
from tests.integration.query.conftest import Asker
from tests.integration.query.site import Site
from tsobs import __version__, health


@pytest.fixture(autouse=True)
def nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "REMEMBER_S", 0.0)


async def test_a_database_that_answers(ask: Asker) -> None:
    answer = await ask("/v1/health")
    assert answer.status == 200
    assert answer.json["status"] == "healthy"
    assert answer.json["version"] == __version__
    age = datetime.now(UTC) - datetime.fromisoformat(answer.json["timestamp"])
    assert abs(age.total_seconds()) < 60
    assert set(answer.json) == {"status", "timestamp", "version", "checks"}
    check = answer.json["checks"]["database"]
    assert set(check) == {"status", "duration_seconds"}
    assert check["status"] == "healthy"


async def test_a_database_that_is_away(
    session: ClientSession,
    start_service: Callable[..., Awaitable[str]],
    database_proxy: Proxy,
) -> None:
    ask = Asker(session, await start_service(role="query", database_url=database_proxy.url))
    assert (await ask("/v1/health")).status == 200
    await database_proxy.cut()
    answer = await ask("/v1/health")
    assert answer.status == 503
    assert answer.json["status"] == "unhealthy"
    assert answer.json["checks"]["database"]["message"] == "the database is away"
    assert "127.0.0.1" not in answer.text
    await database_proxy.open()
    assert (await ask("/v1/health")).json["status"] == "healthy"


async def test_a_database_that_hangs_is_told_in_time(
    site: Site, ask: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "TIMEOUT_S", 0.2)
    async with site.store.transaction():
        await site.store.execute("lock table tsobs_store.setting in access exclusive mode")
        for _ in range(3):  # the second check waits for the first one's connection, and so on
            async with asyncio.timeout(5):
                answer = await ask("/v1/health")
            assert answer.status == 503
            assert answer.json["checks"]["database"]["message"] == "no answer within 0.2 s"
    monkeypatch.setattr(health, "TIMEOUT_S", 10.0)
    assert (await ask("/v1/health")).status == 200


async def test_a_slow_database_is_degraded(ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "SLOW_S", -1.0)
    answer = await ask("/v1/health")
    assert (answer.status, answer.json["status"]) == (200, "degraded")


async def test_asking_often_costs_the_database_one_query_a_second(
    ask: Asker, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "REMEMBER_S", 60.0)
    first, *others = await asyncio.gather(*(ask("/v1/health") for _ in range(20)))
    durations = {answer.json["checks"]["database"]["duration_seconds"] for answer in others}
    assert durations == {first.json["checks"]["database"]["duration_seconds"]}
