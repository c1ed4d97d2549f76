from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import ClientSession, web

from tests.fix_service import StartService
from tests.integration.demo.test_credentials import add_token
from tsobs.demo.client import Client, open_client
from tsobs.demo.credentials import Credentials
from tsobs.demo.part import PartFailed

EVENT = {
    "job_id": "1",
    "user": "ada",
    "node_list": ["n1"],
    "timestamp": "2026-01-01T00:00:00Z",
    "cluster": "simulated",
}
Serve = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serves GET / with a handler; for answers that the real service gives only in trouble."""
    runners = []

    async def start(
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> str:
        app = web.Application()
        app.router.add_get("/", handler)
        runner = web.AppRunner(app)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


async def test_an_event_arrives(client: Client) -> None:
    assert (await client.post_event("job-started", EVENT)).document["status"] == "created"
    jobs = await client.get("/v1/jobs?cluster=simulated")
    assert [job["user"] for job in jobs["jobs"]] == ["ada"]


async def test_a_refusal_is_a_failure_with_its_reason(client: Client) -> None:
    with pytest.raises(PartFailed, match=r"refuses POST .*job-started: 400 .*user is required"):
        await client.post_event("job-started", {**EVENT, "user": ""})


async def test_when_a_user_makes_the_first_token_we_get_one_of_our_own(
    start_service: StartService, database_url: str, credentials: Credentials
) -> None:
    url = await start_service()
    await add_token(database_url)
    async with open_client(url, credentials) as client:
        await client.post_event("job-started", EVENT)
        assert credentials.secret
        assert (await client.get("/v1/jobs"))["total"] == 1


async def test_trouble_that_passes_is_waited_out(serve: Serve, credentials: Credentials) -> None:
    answers = iter(
        [
            web.json_response({"message": "away"}, status=503, headers={"Retry-After": "0"}),
            web.Response(status=502, text="<html>"),
            web.json_response({"ok": 1}),
        ]
    )

    async def handle(_request: web.Request) -> web.StreamResponse:
        return next(answers)

    async with open_client(await serve(handle), credentials) as client:
        assert await client.get("/") == {"ok": 1}


async def test_who_stays_away_is_named(serve: Serve, credentials: Credentials) -> None:
    async def handle(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"message": "the database is away"}, status=503)

    url = await serve(handle)
    async with ClientSession() as session:
        client = Client(session, url, credentials, patience_s=0.5)
        with pytest.raises(PartFailed, match=r"does not answer GET /: 503 the database is away"):
            await client.get("/")


async def test_a_service_that_is_not_there_yet_is_tried_again(
    start_service: StartService, credentials: Credentials, unused_tcp_port: int
) -> None:
    async with open_client(f"http://127.0.0.1:{unused_tcp_port}", credentials) as client:
        asking = asyncio.create_task(client.get("/v1/health"))
        await asyncio.sleep(0.2)
        await start_service(port=unused_tcp_port)
        assert (await asking)["status"] == "healthy"
