"""Web pages elsewhere: which may read, which may write, with tokens and without."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.test_access import client
from tsobs.db import open_database
from tsobs.routes import Scope
from tsobs.tokens import NewToken, TokenStore


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[TokenStore]:
    async with open_database(database_url, size=1) as opened:
        yield TokenStore(opened)


async def test_several_allowed_origins(database_url: str) -> None:
    first, second = "https://a.example", "http://b.example:8080"
    async with client(database_url, cors_origin=f"{first}, {second}") as asking:
        for origin in (first, second):
            status, _, headers = await asking.ask("PATCH", "/v1/jobs/1", Origin=origin)
            assert (status, headers["Access-Control-Allow-Origin"]) == (200, origin)
            asked = {"Origin": origin, "Access_Control_Request_Method": "DELETE"}
            status, _, headers = await asking.ask("OPTIONS", "/v1/jobs/1", **asked)
            assert (status, headers["Access-Control-Allow-Methods"]) == (204, "DELETE")
            assert "X-Changed-By, X-Source" in headers["Access-Control-Allow-Headers"]
        for origin in ("https://a.example.evil", "http://b.example", f"{first}, {second}", "null"):
            status, _, headers = await asking.ask("POST", "/v1/jobs", Origin=origin)
            assert status == 403
            assert "Access-Control-Allow-Origin" not in headers
            assert headers["Vary"] == "Origin"


async def test_all_origins_read_and_write_only_with_a_token(
    database_url: str, store: TokenStore
) -> None:
    page = {"Origin": "https://any.example"}
    async with client(database_url, cors_origin="*", remember_s=0.0) as asking:
        status, _, headers = await asking.ask("GET", "/v1/jobs", **page)
        assert (status, headers["Access-Control-Allow-Origin"]) == (200, "*")
        assert "Access-Control-Allow-Credentials" not in headers
        # Nobody was named who may write without a token.
        assert (await asking.ask("POST", "/v1/jobs", **page))[0] == 403
        _, secret = await store.create(NewToken("a", [Scope.EVENTS]))
        assert (await asking.ask("POST", "/v1/jobs", secret, **page))[0] == 200
        assert (await asking.ask("POST", "/v1/jobs", **page))[0] == 401
