"""What every request passes through, over real sockets."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from tsobs.access import open_access
from tsobs.errors import Conflict, Overloaded, SetupError
from tsobs.health import health_handlers
from tsobs.listen import open_listeners
from tsobs.routes import ROUTES
from tsobs.selfmetrics import HttpMetrics, make_registry
from tsobs.serve import serving
from tsobs.settings import Settings
from tsobs.web import CORRELATION, Handler, Handlers, json_response, make_app


async def echo(request: web.Request) -> web.StreamResponse:
    body = await request.read()
    return json_response({"size": len(body), "correlation": request[CORRELATION]})


async def conflict(request: web.Request) -> web.StreamResponse:
    raise Conflict("it is so already", field="stream")


async def overloaded(request: web.Request) -> web.StreamResponse:
    raise Overloaded("later", retry_after_s=1.2)


async def broken(request: web.Request) -> web.StreamResponse:
    raise RuntimeError("the password is hunter2")


async def slow(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(float(request.query.get("for", "60")))
    return json_response({"done": True})


async def half(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"half of it")
    raise RuntimeError("hunter2")


HANDLERS: dict[str, Handler] = {
    "/v1/events/job-started": conflict,
    "/v1/events/job-finished": overloaded,
    "/v1/jobs": broken,
    "/v1/jobs/{id}": slow,
    "/v1/nodes": half,
}


@asynccontextmanager
async def service(
    database_url: str, *, registry: CollectorRegistry | None = None, **changes: Any
) -> AsyncIterator[str]:
    settings = Settings(database_url=database_url, shutdown_grace_s=2.0, **changes)
    registry = registry or CollectorRegistry()
    [listeners] = open_listeners("127.0.0.1", 0)
    async with open_access(settings, loopback=True) as access:
        handlers = {(r.method, r.path): HANDLERS.get(r.path, echo) for r in ROUTES}
        handlers |= health_handlers(access.database, registry)
        app = make_app(
            handlers,
            ROUTES,
            access=access,
            metrics=HttpMetrics.register(registry),
            settings=settings,
        )
        async with serving(app, listeners, settings):
            yield listeners.url


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def test_errors_have_one_shape(database_url: str, session: aiohttp.ClientSession) -> None:
    async with service(database_url) as url:
        async with session.post(f"{url}/v1/events/job-started") as answer:
            assert answer.status == 409
            assert answer.content_type == "application/json"
            assert await answer.json() == {
                "error": "conflict",
                "message": "it is so already",
                "details": {"field": "stream"},
            }
        async with session.post(f"{url}/v1/events/job-finished") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
            assert (await answer.json())["error"] == "unavailable"


async def test_what_is_ours_shows_nothing_and_is_logged_with_its_id(
    database_url: str, session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        service(database_url) as url,
        session.get(f"{url}/v1/jobs", headers={"X-Correlation-Id": "abc-1"}) as answer,
    ):
        text = await answer.text()
        assert answer.status == 500
        assert json.loads(text) == {
            "error": "internal_error",
            "message": "Internal server error",
            "details": {"correlation_id": "abc-1"},
        }
        assert answer.headers["X-Correlation-Id"] == "abc-1"
    [record] = [r for r in caplog.records if r.levelname == "ERROR"]
    assert "hunter2" in str(record.exc_info)
    assert "hunter2" not in text


async def test_half_an_answer_is_cut_off(database_url: str, session: aiohttp.ClientSession) -> None:
    async with service(database_url) as url, session.get(f"{url}/v1/nodes") as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


@pytest.mark.parametrize(
    ("given", "kept"),
    [("a.B_1:2/3+4=@-", True), ("x" * 128, True), ("x" * 129, False), ("a b", False), ("", False)],
)
async def test_correlation_ids(
    database_url: str, session: aiohttp.ClientSession, given: str, kept: bool
) -> None:
    headers = {"X-Correlation-Id": given}
    async with service(database_url) as url:
        async with session.post(f"{url}/v1/samples", headers=headers) as answer:
            used = (await answer.json())["correlation"]
            assert answer.headers["X-Correlation-Id"] == used
            assert (used == given) is kept
            assert len(used) >= 1
        # Errors that never reach a handler carry one, too.
        async with session.get(f"{url}/nothing") as answer:
            assert len(answer.headers["X-Correlation-Id"]) == 32


async def test_bodies_arrive_as_sent(database_url: str, session: aiohttp.ClientSession) -> None:
    async with service(database_url) as url:
        for encoding in ("gzip", "zstd", "br", "snappy"):
            headers = {"Content-Encoding": encoding}
            async with session.post(
                f"{url}/v1/samples", data=b"not compressed", headers=headers
            ) as answer:
                assert (answer.status, (await answer.json())["size"]) == (200, 14)


async def test_a_body_over_the_limit_is_refused(
    database_url: str, session: aiohttp.ClientSession
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 100

    async with service(database_url, max_body_bytes=2048) as url:
        async with session.post(f"{url}/v1/samples", data=b"x" * 2048) as answer:
            assert answer.status == 200
        async with session.post(f"{url}/v1/samples", data=b"x" * 2049) as answer:
            assert answer.status == 413
            body = await answer.json()
            assert body["error"] == "too_large"
            assert body["details"] == {"max_body_bytes": 2048}
        # Its length is only known when it has come.
        async with session.post(f"{url}/v1/samples", data=pieces()) as answer:
            assert (answer.status, (await answer.json())["error"]) == (413, "too_large")


async def raw(url: str, request: bytes, *, wait_s: float = 10.0) -> bytes:
    """Sends bytes as they are and returns all that comes back until the service hangs up."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        async with asyncio.timeout(wait_s):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_body_that_trickles_runs_out_of_time(database_url: str) -> None:
    head = b"POST /v1/samples HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nabc"
    async with service(database_url, request_timeout_s=1) as url:
        before = time.monotonic()
        answer = await raw(url, head)
        assert time.monotonic() - before < 8
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"request_timeout"' in answer


async def test_a_client_that_goes_away_in_the_middle_leaves_a_line(
    database_url: str, session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "tsobs.web")
    head = b"POST /v1/samples HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nabc"
    async with service(database_url, registry=make_registry(1)) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(head)
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.close()
        gone = 'route="/v1/samples",status="499"'
        for _ in range(100):
            async with session.get(f"{url}/metrics/service") as answer:
                if gone in await answer.text():
                    break
            await asyncio.sleep(0.05)
        else:
            pytest.fail("the request is not counted")
    [record] = [r for r in caplog.records if "went away" in r.getMessage()]
    assert (record.levelname, record.exc_info) == ("INFO", None)
    assert not [r for r in caplog.records if r.levelname == "ERROR"]


async def test_where_senders_drop_what_a_4xx_answers_it_is_503(database_url: str) -> None:
    """And how large a body may be is the handler's own affair."""
    path = next(route.path for route in ROUTES if route.is_queue)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\nabc"
    async with service(database_url, request_timeout_s=1, max_body_bytes=1024) as url:
        answer = await raw(url, head.encode())
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"Retry-After: 5" in answer


async def test_headers_that_trickle_run_out_of_time(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tsobs.serve._KEEPALIVE_S", 1.0)
    async with service(database_url) as url:
        before = time.monotonic()
        assert await raw(url, b"POST /v1/samples HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ") == b""
        assert time.monotonic() - before < 5


async def test_a_handler_that_takes_too_long_is_overloaded(
    database_url: str, session: aiohttp.ClientSession
) -> None:
    async with (
        service(database_url, request_timeout_s=1) as url,
        session.get(f"{url}/v1/jobs/1") as answer,
    ):
        assert (answer.status, (await answer.json())["error"]) == (503, "unavailable")
        assert answer.headers["Retry-After"] == "5"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v1/health HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/samples HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\n\r\n",
    ],
)
async def test_nonsense_is_answered_and_the_service_lives(
    database_url: str, session: aiohttp.ClientSession, request_bytes: bytes
) -> None:
    async with service(database_url) as url:
        assert b" 400 " in (await raw(url, request_bytes)).split(b"\r\n")[0]
        async with session.get(f"{url}/v1/health") as answer:
            assert answer.status == 200


async def test_metrics_say_what_happened(database_url: str, session: aiohttp.ClientSession) -> None:
    async with service(database_url, registry=make_registry(3)) as url:
        for path in ("/v1/jobs/1", "/v1/jobs/2"):
            async with session.get(f"{url}{path}?for=0.01"):
                pass
        for path in ("/made-up-1", "/made-up-2", "/v1/jobs/%0a/x"):
            async with session.get(f"{url}{path}"):
                pass
        async with session.delete(f"{url}/v1/jobs"):
            pass
        async with session.get(f"{url}/metrics/service") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            text = await answer.text()
    samples = {
        (s.name, s.labels.get("method"), s.labels.get("route"), s.labels.get("status")): s
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }
    count = "tsobs_http_request_duration_seconds_count"
    assert samples[count, "GET", "/v1/jobs/{id}", "200"].value == 2
    assert samples[count, "other", "other", "404"].value == 3
    assert samples[count, "other", "other", "405"].value == 1
    assert samples["tsobs_http_requests_in_flight", None, None, None].value == 1
    assert all(s.labels["process"].endswith(":3") for s in samples.values())
    assert "tsobs_build_info{" in text
    assert "process_resident_memory_bytes{" in text
    assert "_created" not in text


async def test_answers_do_not_tell_what_they_are_made_with(
    database_url: str, session: aiohttp.ClientSession
) -> None:
    async with service(database_url) as url:
        for path in ("/v1/health", "/nothing", "/v1/jobs"):
            async with session.get(url + path) as answer:
                assert answer.headers["Server"] == "tsobs"
                assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_request_in_progress_may_finish(
    database_url: str, session: aiohttp.ClientSession
) -> None:
    async with service(database_url) as url:
        asking = asyncio.create_task(session.get(f"{url}/v1/jobs/1?for=0.8").__aenter__())
        await asyncio.sleep(0.3)
    answer = await asking
    assert (answer.status, await answer.json()) == (200, {"done": True})
    with pytest.raises(aiohttp.ClientConnectorError):
        await session.get(f"{url}/v1/health")


async def test_what_does_not_finish_is_cut_after_the_grace(
    database_url: str, session: aiohttp.ClientSession
) -> None:
    async with service(database_url) as url:
        asking = asyncio.create_task(session.get(f"{url}/v1/jobs/1").__aenter__())
        await asyncio.sleep(0.3)
        before = time.monotonic()
    assert time.monotonic() - before < 7
    with pytest.raises(aiohttp.ClientError):
        await asking


async def test_routes_and_handlers_must_match(database_url: str) -> None:
    settings = Settings(database_url=database_url)
    metrics = HttpMetrics.register(CollectorRegistry())
    handlers: Handlers = {(r.method, r.path): echo for r in ROUTES[1:]} | {("GET", "/x"): echo}
    async with open_access(settings, loopback=True) as access:
        with pytest.raises(SetupError) as raised:
            make_app(handlers, ROUTES, access=access, metrics=metrics, settings=settings)
    assert "GET /v1/health has no handler" in raised.value.message
    assert "GET /x has no route" in raised.value.message
