"""Every endpoint with every kind of token, over real HTTP and real rows of api_token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from tests.fix_proxy import Proxy
from tsobs.access import VIEWER, open_access
from tsobs.answers import json_response
from tsobs.db import Database, connect, open_database
from tsobs.errors import SetupError
from tsobs.routes import ROUTES, Route, Scope
from tsobs.selfmetrics import HttpMetrics
from tsobs.settings import Settings
from tsobs.tokens import NewToken, TokenStore
from tsobs.web import make_app

SCOPES = [scope for scope in Scope if scope is not Scope.PUBLIC]


async def who(request: web.Request) -> web.StreamResponse:
    """Says who asked: what is tested is what comes before a handler."""
    viewer = request[VIEWER]
    return json_response(
        {
            "name": viewer.name,
            "scopes": sorted(viewer.scopes),
            "bounds": [viewer.node, viewer.cluster, viewer.user],
        }
    )


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, size=2) as opened:
        yield opened


@pytest.fixture
def store(database: Database) -> TokenStore:
    return TokenStore(database)


@asynccontextmanager
async def service(
    url: str, *, loopback: bool = True, remember_s: float = 5.0, **changes: Any
) -> AsyncIterator[str]:
    settings = Settings(database_url=url, **changes)
    async with AsyncExitStack() as stack:
        access = await stack.enter_async_context(
            open_access(settings, loopback=loopback, remember_s=remember_s)
        )
        handlers = {(route.method, route.path): who for route in ROUTES}
        metrics = HttpMetrics.register(CollectorRegistry())
        app = make_app(handlers, ROUTES, access=access, metrics=metrics, settings=settings)
        server = await stack.enter_async_context(TestServer(app))
        yield str(server.make_url("/")).rstrip("/")


def path_of(route: Route) -> str:
    return route.path.replace("{id}", "123")


class Client:
    """Asks with one token and remembers nothing."""

    def __init__(self, base: str, session: aiohttp.ClientSession) -> None:
        self.base = base
        self.session = session

    async def ask(
        self, method: str, path: str, token: str | None = None, **headers: str
    ) -> tuple[int, Any, Any]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        async with self.session.request(method, self.base + path, headers=sent) as answer:
            body = await answer.json(content_type=None) if await answer.read() else None
            return answer.status, body, answer.headers


@asynccontextmanager
async def client(url: str, **changes: Any) -> AsyncIterator[Client]:
    async with service(url, **changes) as base, aiohttp.ClientSession() as session:
        yield Client(base, session)


async def test_every_endpoint_with_every_scope(database_url: str, store: TokenStore) -> None:
    tokens = {scope: (await store.create(NewToken(scope, [scope])))[1] for scope in SCOPES}
    async with client(database_url) as asking:
        for route in ROUTES:
            method, path = route.method, path_of(route)
            status, body, headers = await asking.ask(method, path)
            if route.scope is Scope.PUBLIC:
                assert (status, body["name"]) == (200, "anonymous")
            else:
                assert (status, body["error"]) == (401, "unauthorized")
                assert headers["WWW-Authenticate"] == 'Bearer realm="tsobs"'
            for scope, token in tokens.items():
                status, body, headers = await asking.ask(method, path, token)
                where = f"{scope} on {method} {path}"
                if route.scope in (Scope.PUBLIC, scope) or scope is Scope.ADMIN:
                    assert status == 200, where
                else:
                    assert (status, body["error"]) == (403, "forbidden"), where
                    assert body["details"] == {"scope": route.scope.value}
                    assert route.scope.value in body["message"]
                    assert f'scope="{route.scope.value}"' in headers["WWW-Authenticate"]


async def test_the_handler_sees_who_asks(database_url: str, store: TokenStore) -> None:
    wanted = NewToken("n1", [Scope.AGENT, Scope.EVENTS], node="n1", cluster="c")
    _, writer = await store.create(wanted)
    _, reader = await store.create(NewToken("alice's", [Scope.READ], user="alice"))
    async with client(database_url) as asking:
        _, body, _ = await asking.ask("POST", "/v1/samples", writer)
        assert body == {"name": "n1", "scopes": ["agent", "events"], "bounds": ["n1", "c", None]}
        _, body, _ = await asking.ask("GET", "/v1/jobs", reader)
        assert body == {"name": "alice's", "scopes": ["read"], "bounds": [None, None, "alice"]}


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic dTpw", "Bearer a b", "tsobs_x", "Bearer " + "x" * 600],
)  # fmt: skip
async def test_a_header_that_is_no_token(database_url: str, store: TokenStore, header: str) -> None:
    await store.create(NewToken("a", [Scope.READ]))
    async with client(database_url) as asking:
        status, body, _ = await asking.ask("GET", "/v1/jobs", Authorization=header)
    assert (status, body["error"]) == (401, "unauthorized")


async def test_two_authorization_headers_are_refused(database_url: str, store: TokenStore) -> None:
    _, token = await store.create(NewToken("a", [Scope.READ]))
    async with service(database_url) as base, aiohttp.ClientSession() as session:
        headers = [("Authorization", f"Bearer {token}"), ("Authorization", "Bearer x")]
        async with session.get(f"{base}/v1/jobs", headers=headers) as answer:
            assert answer.status == 401


async def until_refused(asking: Client, token: str) -> str:
    """The message of the first refusal; fails when there is none within 10 s."""
    async with asyncio.timeout(10):
        while True:
            status, body, _ = await asking.ask("POST", "/v1/samples", token)
            if status != 200:
                assert status == 401
                return str(body["message"])
            await asyncio.sleep(0.05)


async def test_expired_and_revoked_tokens_say_so(database_url: str, store: TokenStore) -> None:
    token, secret = await store.create(NewToken("agents", [Scope.AGENT]))
    _, short = await store.create(NewToken("short", [Scope.AGENT], expires_in_s=0.7))
    async with client(database_url, remember_s=0.2) as asking:
        assert (await asking.ask("POST", "/v1/samples", secret))[0] == 200
        assert (await asking.ask("POST", "/v1/samples", short))[0] == 200
        await store.revoke(token.id)
        assert await until_refused(asking, secret) == "token agents was revoked"
        assert await until_refused(asking, short) == "token short has expired"


async def test_an_expiry_is_not_remembered_past_its_time(
    database_url: str, store: TokenStore
) -> None:
    _, short = await store.create(NewToken("short", [Scope.AGENT], expires_in_s=0.5))
    async with client(database_url, remember_s=3600) as asking:
        assert (await asking.ask("POST", "/v1/samples", short))[0] == 200
        assert await until_refused(asking, short) == "token short has expired"


async def test_an_unknown_token_is_unknown(database_url: str, store: TokenStore) -> None:
    _, good = await store.create(NewToken("a", [Scope.READ]))
    async with client(database_url) as asking:
        for wrong in (good[:-1], good + "x", good.upper(), "tsobs_", "x"):
            status, body, _ = await asking.ask("GET", "/v1/jobs", wrong)
            assert status == 401
            assert "not known" in body["message"]
            assert wrong not in body["message"] or len(wrong) < 7


async def test_last_use_is_kept_at_most_once_a_minute(
    database_url: str, database: Database, store: TokenStore
) -> None:
    _, secret = await store.create(NewToken("a", [Scope.READ]))
    assert (await store.list())[0].last_used_at is None
    async with client(database_url, remember_s=0.0) as asking:
        await asking.ask("GET", "/v1/jobs", secret)
        first = (await store.list())[0].last_used_at
        assert first is not None
        await asking.ask("GET", "/v1/jobs", secret)
        assert (await store.list())[0].last_used_at == first


async def test_another_process_that_holds_the_row_delays_nobody(
    database_url: str, store: TokenStore
) -> None:
    token, secret = await store.create(NewToken("a", [Scope.READ]))
    async with connect(database_url) as other, other.transaction():
        await other.execute(
            "select 1 from tsobs_store.api_token where id = $1 for update", token.id
        )
        async with client(database_url) as asking, asyncio.timeout(5):
            assert (await asking.ask("GET", "/v1/jobs", secret))[0] == 200


async def test_unknown_paths_and_methods(database_url: str, store: TokenStore) -> None:
    _, secret = await store.create(NewToken("a", [Scope.EVENTS]))
    async with client(database_url) as asking:
        # Without a token nothing tells which paths there are.
        known = await asking.ask("GET", "/v1/jobs")
        for path in ("/v1/nothing", "/", "/metrics/x", "/v1/jobs/"):
            status, body, _ = await asking.ask("GET", path)
            assert (status, body) == (known[0], known[1])
            status, body, _ = await asking.ask("GET", path, secret)
            assert (status, body["error"]) == (404, "not_found")
        status, body, headers = await asking.ask("DELETE", "/v1/samples", secret)
        assert (status, body["error"]) == (405, "method_not_allowed")
        assert headers["Allow"] == "OPTIONS,POST"
        assert body["details"] == {"allowed": ["OPTIONS", "POST"]}
        assert (await asking.ask("DELETE", "/v1/samples"))[0] == 401


async def test_head_and_options(database_url: str, store: TokenStore) -> None:
    _, secret = await store.create(NewToken("a", [Scope.READ]))
    async with client(database_url) as asking:
        assert (await asking.ask("HEAD", "/v1/jobs"))[0] == 401
        assert (await asking.ask("HEAD", "/metrics", secret))[0] == 200
        status, body, headers = await asking.ask("OPTIONS", "/v1/jobs", secret)
        assert (status, body, headers["Allow"]) == (204, None, "GET, HEAD, OPTIONS, POST")
        assert (await asking.ask("OPTIONS", "/v1/jobs"))[0] == 401
        _, events = await store.create(NewToken("e", [Scope.EVENTS]))
        assert (await asking.ask("HEAD", "/metrics", events))[0] == 403


async def test_loopback_without_tokens_lets_everyone_on_the_machine_in(database_url: str) -> None:
    async with client(database_url) as asking:
        for route in ROUTES:
            status, body, _ = await asking.ask(route.method, path_of(route))
            assert status == 200
            if route.scope is not Scope.PUBLIC:
                assert (body["name"], body["scopes"]) == ("everybody", sorted(Scope))
        # An agent may be set up with a token before the service knows any.
        assert (await asking.ask("POST", "/v1/samples", "tsobs_any"))[0] == 200


async def test_the_first_token_closes_the_door_for_good(
    database_url: str, store: TokenStore
) -> None:
    async with client(database_url, remember_s=0.2) as asking:
        assert (await asking.ask("GET", "/v1/jobs"))[0] == 200
        token, secret = await store.create(NewToken("a", [Scope.READ]))
        await asyncio.sleep(0.3)
        assert (await asking.ask("GET", "/v1/jobs"))[0] == 401
        assert (await asking.ask("GET", "/v1/jobs", secret))[0] == 200
        # Revoking the last one, perhaps because it leaked, must not let everyone in.
        await store.revoke(token.id)
        await asyncio.sleep(0.3)
        assert (await asking.ask("GET", "/v1/jobs"))[0] == 401
        await store.delete(token.id)
        await asyncio.sleep(0.3)
        assert (await asking.ask("GET", "/v1/jobs"))[0] == 200


async def test_beyond_loopback_without_tokens_nothing_starts(
    database_url: str, store: TokenStore
) -> None:
    with pytest.raises(SetupError, match="tsobs token create") as raised:
        async with service(database_url, loopback=False, host="0.0.0.0"):
            pass
    assert "--insecure" in raised.value.message
    assert "host 0.0.0.0" in raised.value.message
    _, secret = await store.create(NewToken("a", [Scope.READ]))
    async with client(database_url, loopback=False) as asking:
        assert (await asking.ask("GET", "/v1/jobs"))[0] == 401
        assert (await asking.ask("GET", "/v1/jobs", secret))[0] == 200


async def test_insecure_is_open_until_there_is_a_token(
    database_url: str, store: TokenStore
) -> None:
    options: dict[str, Any] = {"loopback": False, "insecure": True, "remember_s": 0.0}
    async with client(database_url, **options) as asking:
        # It is reached under names that the service cannot know.
        assert (await asking.ask("GET", "/v1/jobs", Host="tsobs.example.org"))[0] == 200
        await store.create(NewToken("a", [Scope.READ]))
        assert (await asking.ask("GET", "/v1/jobs"))[0] == 401


async def test_deleting_the_last_token_does_not_open_other_machines_the_door(
    database_url: str, store: TokenStore
) -> None:
    token, _ = await store.create(NewToken("a", [Scope.READ]))
    async with client(database_url, loopback=False, remember_s=0.0) as asking:
        await store.delete(token.id)
        assert (await asking.ask("GET", "/v1/jobs"))[0] == 401


async def test_web_pages_cannot_use_a_service_without_tokens(database_url: str) -> None:
    """What browsers send for a foreign page, or for a page whose name was rebound to 127.0.0.1."""
    async with client(database_url) as asking:
        own = asking.base.removeprefix("http://")
        refused: list[dict[str, str]] = [
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1:1"},
            {"Sec_Fetch_Site": "cross-site"},
            {"Sec_Fetch_Site": "same-site"},
            {"Host": "evil.example"},
            {"Host": "evil.example", "Origin": "http://evil.example"},
            {"Host": "127.0.0.1.evil.example"},
            {"Host": "localhost.evil.example"},
        ]
        for headers in refused:
            status, body, _ = await asking.ask("POST", "/v1/samples", **headers)
            assert (status, body["error"]) == (403, "forbidden"), headers
            assert "tsobs token create" in body["message"]
        for headers in (
            {},
            {"Origin": f"http://{own}"},
            {"Sec_Fetch_Site": "same-origin"},
            {"Sec_Fetch_Site": "none"},
            {"Host": "localhost:18080"},
            {"Host": "[::1]:8080"},
        ):
            assert (await asking.ask("POST", "/v1/samples", **headers))[0] == 200, headers
        # Reading through a rebound name is stopped, too; a link from another page is not.
        assert (await asking.ask("GET", "/v1/jobs", Host="evil.example"))[0] == 403
        assert (await asking.ask("GET", "/v1/jobs", Sec_Fetch_Site="cross-site"))[0] == 200


async def test_with_a_token_the_name_does_not_matter(database_url: str, store: TokenStore) -> None:
    _, secret = await store.create(NewToken("a", [Scope.AGENT]))
    async with client(database_url) as asking:
        headers = {"Host": "tsobs.example.org", "Origin": "https://other.example"}
        assert (await asking.ask("POST", "/v1/samples", secret, **headers))[0] == 200


async def test_the_allowed_origin(database_url: str, store: TokenStore) -> None:
    origin = "https://dashboard.example.org"
    async with client(database_url, cors_origin=origin, remember_s=0.0) as asking:
        preflight = {"Origin": origin, "Access_Control_Request_Method": "POST"}
        secret = None
        for _ in ("without a token", "with one"):
            status, _, headers = await asking.ask("OPTIONS", "/v1/samples", **preflight)
            assert status == 204
            assert headers["Access-Control-Allow-Origin"] == origin
            assert headers["Access-Control-Allow-Methods"] == "POST"
            assert "Authorization" in headers["Access-Control-Allow-Headers"]
            assert "Access-Control-Allow-Credentials" not in headers
            status, _, headers = await asking.ask("POST", "/v1/samples", secret, Origin=origin)
            assert (status, headers["Access-Control-Allow-Origin"]) == (200, origin)
            assert headers["Vary"] == "Origin"
            other = await asking.ask("GET", "/v1/jobs", secret, Origin="https://evil.example")
            assert "Access-Control-Allow-Origin" not in other[2]
            _, secret = await store.create(NewToken(f"{secret}", [Scope.AGENT]))
        preflight["Origin"] = "https://evil.example"
        assert (await asking.ask("OPTIONS", "/v1/samples", **preflight))[0] == 401
        # An answer that refuses can be read by the page, too.
        status, _, headers = await asking.ask("POST", "/v1/samples", Origin=origin)
        assert (status, headers["Access-Control-Allow-Origin"]) == (401, origin)


async def test_while_the_database_is_away_the_answer_is_try_again(
    database_proxy: Proxy, store: TokenStore
) -> None:
    _, remembered = await store.create(NewToken("a", [Scope.AGENT]))
    _, other = await store.create(NewToken("b", [Scope.AGENT]))
    async with client(database_proxy.url, remember_s=60.0) as asking:
        assert (await asking.ask("POST", "/v1/samples", remembered))[0] == 200
        await database_proxy.cut()
        status, body, headers = await asking.ask("POST", "/v1/samples", other)
        assert (status, body["error"]) == (503, "unavailable")
        assert int(headers["Retry-After"]) >= 1
        assert (await asking.ask("POST", "/v1/samples", remembered))[0] == 200
        assert (await asking.ask("GET", "/v1/health"))[0] == 200
        await database_proxy.open()
        assert (await asking.ask("POST", "/v1/samples", other))[0] == 200


async def test_while_the_database_is_away_an_open_service_is_not_open(
    database_proxy: Proxy,
) -> None:
    async with client(database_proxy.url, remember_s=0.0) as asking:
        assert (await asking.ask("GET", "/v1/jobs"))[0] == 200
        await database_proxy.cut()
        assert (await asking.ask("GET", "/v1/jobs"))[0] == 503
        await database_proxy.open()
        assert (await asking.ask("GET", "/v1/jobs"))[0] == 200
