from __future__ import annotations

import stat

from tsobs.db import open_database
from tsobs.demo.credentials import Credentials
from tsobs.routes import Scope
from tsobs.tokens import NewToken, StoredToken, TokenStore


async def add_token(database_url: str) -> None:
    async with open_database(database_url, size=1) as database:
        await TokenStore(database).create(NewToken("mine", [Scope.READ]))


async def tokens(database_url: str) -> list[StoredToken]:
    async with open_database(database_url, size=1) as database:
        return await TokenStore(database).list()


async def test_where_nobody_needs_a_token_none_is_made(
    database_url: str, credentials: Credentials
) -> None:
    await credentials.open()
    assert credentials.secret is None
    assert await tokens(database_url) == []
    # The agent is given the file in any case.
    assert credentials.file.read_text().strip()


async def test_where_there_are_tokens_one_is_made_for_the_demo(
    database_url: str, credentials: Credentials
) -> None:
    await add_token(database_url)
    await credentials.open()
    [_, ours] = await tokens(database_url)
    assert ours.name == "tsobs demo"
    assert Scope.ADMIN not in ours.scopes
    assert credentials.file.read_text().strip() == credentials.secret
    assert stat.S_IMODE(credentials.file.stat().st_mode) == 0o600


async def test_the_former_one_goes(database_url: str, credentials: Credentials) -> None:
    await credentials.renew()
    first = credentials.secret
    await credentials.renew()
    assert credentials.secret != first
    assert len(await tokens(database_url)) == 1
