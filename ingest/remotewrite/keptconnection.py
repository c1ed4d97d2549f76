"""A connection that one task keeps: a pool would reset it after every transaction, which is a
round trip more for each commit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from tsobs.db import Connection, Database, translated

__all__ = ["KeptConnection"]


class KeptConnection:
    """Transactions one after the other on one connection of a pool; another is taken after any
    error. Settings must be local to their transaction."""

    def __init__(self, database: Database) -> None:
        self._pool = database.pool
        self._raw: Any = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """One transaction; raises what `translated` makes of the driver's errors."""
        with translated():
            if not self._is_usable():
                await self.give_back()
                self._raw = await self._pool.acquire()
            try:
                async with self._raw.transaction():
                    yield Connection(self._raw)
            except BaseException:
                await self.give_back()
                raise

    def _is_usable(self) -> bool:
        try:
            return self._raw is not None and not self._raw.is_closed()
        except asyncpg.InterfaceError:
            return False  # the pool took it back when it broke

    async def give_back(self) -> None:
        """Hands the connection to the pool, which resets it, or replaces it when it is broken."""
        raw, self._raw = self._raw, None
        if raw is not None:
            await self._pool.release(raw)
