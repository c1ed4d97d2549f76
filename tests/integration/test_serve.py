"""The whole service in one process: its real handlers behind the scope table, and its roles."""

from __future__ import annotations

import asyncio
import gc

import aiohttp
import pytest

from tests.fix_service import StartService
from tsobs.db import connect, open_database
from tsobs.errors import SetupError
from tsobs.listen import open_listeners
from tsobs.retention import maintain_once
from tsobs.routes import ROUTES, Scope, routes_of
from tsobs.serve import run, settle_garbage
from tsobs.settings import Settings
from tsobs.tokens import NewToken, TokenStore

SCOPES = [scope for scope in Scope if scope is not Scope.PUBLIC]


async def status_of(session: aiohttp.ClientSession, method: str, url: str, token: str = "") -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with session.request(method, url, headers=headers) as answer:
        return answer.status


async def test_every_endpoint_of_the_real_service_with_every_scope(
    database_url: str, start_service: StartService
) -> None:
    async with open_database(database_url, size=1) as database:
        store = TokenStore(database)
        tokens = {scope: (await store.create(NewToken(scope, [scope])))[1] for scope in SCOPES}
    url = await start_service()
    async with aiohttp.ClientSession() as session:
        for route in ROUTES:
            address = url + route.path.replace("{id}", "123")
            public = route.scope is Scope.PUBLIC
            assert (await status_of(session, route.method, address) == 401) is not public
            assert (await status_of(session, route.method, address, "wrong") == 401) is not public
            for scope, token in tokens.items():
                status = await status_of(session, route.method, address, token)
                may = public or scope in (route.scope, Scope.ADMIN)
                # Let in, a request without a body or for an unknown job still fails: by itself.
                assert status in ({200, 400, 404, 415} if may else {403}), (scope, address, status)


@pytest.mark.parametrize("role", ["all", "ingest", "query"])
async def test_a_role_answers_its_own_routes_and_no_others(
    role: str, start_service: StartService
) -> None:
    url = await start_service(role=role)
    own = set(routes_of(role))
    async with aiohttp.ClientSession() as session:
        for route in ROUTES:
            address = url + route.path.replace("{id}", "123")
            async with session.request(route.method, address) as answer:
                text = await answer.text()
                elsewhere = f"is for processes of role {min(route.roles - {'all'})}"
                assert (elsewhere in text) is (route not in own)
                assert answer.status == 404 or route in own
        async with session.get(f"{url}/metrics/service") as answer:
            assert answer.status == 200
            text = await answer.text()
    assert "tsobs_build_info{" in text
    assert ("tsobs_ingest_queue_batches{" in text) is (role != "query")


async def test_it_stops_when_cancelled(database_url: str) -> None:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    settings = Settings(database_url=database_url, port=0)
    task = asyncio.create_task(run(settings, ready=ready.set_result))
    async with asyncio.timeout(30):
        url = await ready
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(url)
    left = {t.get_name() for t in asyncio.all_tasks()} - {asyncio.current_task().get_name()}  # type: ignore[union-attr]
    assert not {name for name in left if not name.startswith("Task-")}


async def test_a_port_that_was_taken_in_the_meantime(
    database_url: str, start_service: StartService
) -> None:
    url = await start_service()
    # Bound, not yet listening: two services that start at once get this far.
    settings = Settings(database_url=database_url, port=int(url.rpartition(":")[2]))
    with pytest.raises(SetupError, match="is taken"):
        await run(settings, ready=lambda _: None)


async def test_two_that_start_at_once(database_url: str) -> None:
    [first] = open_listeners("127.0.0.1", 0)
    port = first.sockets[0].getsockname()[1]
    [second] = open_listeners("127.0.0.1", port)
    stop, ready = asyncio.Event(), asyncio.Event()
    settings = Settings(database_url=database_url, port=port, shutdown_grace_s=1)
    winner = asyncio.create_task(
        run(settings, ready=lambda _: ready.set(), stop=stop, listeners=first)
    )
    async with asyncio.timeout(30):
        await ready.wait()
        with pytest.raises(SetupError, match=f"port {port} .* is taken"):
            await run(settings, ready=lambda _: None, listeners=second)
        stop.set()
        await winner


async def retention_days(database_url: str) -> float:
    async with connect(database_url) as connection:
        found = await connection.fetchval("select tsobs_store.raw_retention()")
    return float(found.total_seconds() / 86400)


async def test_retention_changes_only_when_it_is_set(
    database_url: str, start_service: StartService
) -> None:
    await start_service()
    assert await retention_days(database_url) == 7
    await start_service(metrics_retention_days=30)
    assert await retention_days(database_url) == 30
    # Started once without the variable, a service must not drop three weeks of samples.
    await start_service()
    assert await retention_days(database_url) == 30
    await start_service(role="query", metrics_retention_days=3)
    assert await retention_days(database_url) == 30


async def test_it_maintains_beside_serving(
    database_url: str, start_service: StartService, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr("tsobs.serve.MAINTAIN_EVERY_S", 0.05)

    async def note(url: str) -> int:
        seen.append(url)
        return await maintain_once(url) or 0

    monkeypatch.setattr("tsobs.retention.maintain_once", note)
    await start_service(role="query")
    await asyncio.sleep(0.3)
    assert not seen
    await start_service(role="ingest")
    await asyncio.sleep(1.0)
    assert len(seen) > 1


def test_what_is_loaded_is_not_walked_through_again() -> None:
    held = gc.get_threshold()
    try:
        settle_garbage()
        assert gc.get_freeze_count() > 10_000
        assert gc.get_threshold()[0] > held[0]
    finally:
        gc.unfreeze()
        gc.set_threshold(*held)
