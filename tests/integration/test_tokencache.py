"""What is remembered of tokens, for how long, and for how many at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.fix_proxy import Proxy
from tsobs.db import Database, open_database
from tsobs.errors import Overloaded, Unauthorized
from tsobs.routes import Scope
from tsobs.tokencache import TokenCache
from tsobs.tokens import NewToken, TokenStore


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, size=2) as opened:
        yield opened


@pytest.fixture
def store(database: Database) -> TokenStore:
    return TokenStore(database)


async def test_a_flood_of_wrong_tokens_pushes_out_no_good_one(
    database: Database, store: TokenStore
) -> None:
    token, secret = await store.create(NewToken("a", [Scope.READ]))
    cache = TokenCache(database, ttl_s=3600, size=10)
    await cache.viewer(secret)
    for number in range(30):
        with pytest.raises(Unauthorized):
            await cache.viewer(f"wrong{number}")
    await store.delete(token.id)
    assert (await cache.viewer(secret)).name == "a"


async def test_the_least_used_is_forgotten_first(database: Database, store: TokenStore) -> None:
    made = [await store.create(NewToken(f"t{n}", [Scope.READ])) for n in range(3)]
    cache = TokenCache(database, ttl_s=3600, size=2)
    for _, secret in made:
        await cache.viewer(secret)
    for token, _ in made:
        await store.delete(token.id)
    with pytest.raises(Unauthorized):
        await cache.viewer(made[0][1])
    assert (await cache.viewer(made[2][1])).name == "t2"


async def test_a_wrong_token_that_becomes_right(database: Database, store: TokenStore) -> None:
    cache = TokenCache(database, ttl_s=0.0)
    token, secret = await store.create(NewToken("a", [Scope.READ]))
    assert (await cache.viewer(secret)).name == "a"
    await store.revoke(token.id)
    with pytest.raises(Unauthorized):
        await cache.viewer(secret)


async def test_many_at_once_ask_once_and_one_that_leaves_fails_nobody(
    database_proxy: Proxy, store: TokenStore
) -> None:
    _, secret = await store.create(NewToken("a", [Scope.READ]))
    async with open_database(database_proxy.url, size=1) as database:
        cache = TokenCache(database)
        asking = [asyncio.create_task(cache.viewer(secret)) for _ in range(50)]
        await asyncio.sleep(0)
        assert len(cache._asking) == 1
        asking[0].cancel()
        found = await asyncio.gather(*asking, return_exceptions=True)
        assert isinstance(found[0], asyncio.CancelledError)
        assert {viewer.name for viewer in found[1:] if not isinstance(viewer, BaseException)} == {
            "a"
        }
        assert not cache._asking


async def test_a_failed_lookup_is_not_remembered(database_proxy: Proxy, store: TokenStore) -> None:
    _, secret = await store.create(NewToken("a", [Scope.READ]))
    async with open_database(database_proxy.url, size=1) as database:
        cache = TokenCache(database)
        await database_proxy.cut()
        with pytest.raises(Overloaded):
            await cache.viewer(secret)
        with pytest.raises(Overloaded):
            await cache.any_token()
        await database_proxy.open()
        assert (await cache.viewer(secret)).name == "a"
        assert await cache.any_token()
