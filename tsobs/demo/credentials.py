"""A token for the demo's own senders, from the moment that the database has any token at all."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from tsobs.db import open_database
from tsobs.routes import Scope
from tsobs.tokens import NewToken, TokenStore

__all__ = ["Credentials"]

_NAME = "tsobs demo"
_SCOPES = (Scope.AGENT, Scope.EVENTS, Scope.READ)
_LIFE_S = 30 * 86_400.0


class Credentials:
    """Without tokens everybody on this machine may do everything; the first token that a user
    makes ends that, and then `renew` makes one for the demo. The agent reads it from `file`."""

    def __init__(self, database_url: str, file: Path) -> None:
        self._database_url = database_url
        self.file = file
        self.secret: str | None = None

    async def open(self) -> None:
        """Makes the file, and a token if one is needed already."""
        await asyncio.to_thread(self._write, "none-needed")
        async with open_database(self._database_url, size=1) as database:
            known, _ = await TokenStore(database).count()
        if known:
            await self.renew()

    async def renew(self) -> None:
        """Makes a new token in place of the former one."""
        async with open_database(self._database_url, size=1) as database:
            tokens = TokenStore(database)
            for token in await tokens.list():
                if token.name == _NAME:
                    await tokens.delete(token.id)
            _, self.secret = await tokens.create(NewToken(_NAME, _SCOPES, expires_in_s=_LIFE_S))
        await asyncio.to_thread(self._write, self.secret)

    def _write(self, secret: str) -> None:
        fd = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(secret + "\n")
