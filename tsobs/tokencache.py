"""From a bearer token to its viewer, remembered for seconds, so that a revocation bites at once."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from contextlib import suppress
from typing import Any, NamedTuple

from tsobs.db import Database
from tsobs.errors import Overloaded, Unauthorized
from tsobs.routes import Scope
from tsobs.tokens import digest
from tsobs.viewer import Viewer

__all__ = ["TTL_S", "TokenCache"]

TTL_S = 5.0  # how long a revoked token may still work
SIZE = 4096  # tokens remembered; wrong ones have a cache of their own, so they push out no good one


class _Entry(NamedTuple):
    until: float
    found: Viewer | str


class TokenCache:
    """Looks tokens up in the database, one query a token however many requests wait for it."""

    def __init__(self, database: Database, *, ttl_s: float = TTL_S, size: int = SIZE) -> None:
        self.database = database
        self._ttl_s = ttl_s
        self._size = size
        self._good: OrderedDict[bytes, _Entry] = OrderedDict()
        self._bad: OrderedDict[bytes, _Entry] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[_Entry]] = {}
        self._any: tuple[float, bool] = (0.0, True)

    async def viewer(self, secret: str) -> Viewer:
        """Whose token this is; raises Unauthorized with the reason, or Overloaded."""
        # Looked up by its hash, so the time it takes says nothing about stored tokens.
        key = digest(secret)
        entry = self._good.get(key) or self._bad.get(key)
        if entry is None or entry.until <= time.monotonic():
            entry = await self._ask_once(key)
        if isinstance(entry.found, str):
            raise Unauthorized(entry.found)
        return entry.found

    async def any_token(self) -> bool:
        """Whether there is any token at all, expired and revoked ones counted."""
        until, known = self._any
        if until <= time.monotonic():
            known = await self.count() > 0
            self._any = (time.monotonic() + self._ttl_s, known)
        return known

    async def count(self) -> int:
        """How many tokens there are at this moment."""
        row = await self.database.fetchrow("count_tokens")
        return int(row["known"]) if row else 0

    async def _ask_once(self, key: bytes) -> _Entry:
        task = self._asking.get(key)
        if task is None:
            task = asyncio.create_task(self._ask(key), name="token lookup")
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        # Shielded: one caller that goes away must not fail the others that wait.
        return await asyncio.shield(task)

    async def _ask(self, key: bytes) -> _Entry:
        row = await self.database.fetchrow("find_token", key)
        entry = self._judge(row)
        cache, other = (self._good, self._bad)
        if isinstance(entry.found, str):
            cache, other = other, cache
        other.pop(key, None)
        cache[key] = entry
        cache.move_to_end(key)
        while len(cache) > self._size:
            cache.popitem(last=False)
        if row is not None and row["touch"] and isinstance(entry.found, Viewer):
            # A database that cannot write this now must not refuse the request for it.
            with suppress(Overloaded):
                await self.database.execute("touch_token", row["id"])
        return entry

    def _judge(self, row: Any) -> _Entry:
        until = time.monotonic() + self._ttl_s
        if row is None:
            return _Entry(until, "this token is not known here: `tsobs token list` shows which are")
        name, expires_in_s = row["name"], row["expires_in_s"]
        if row["revoked"]:
            return _Entry(until, f"token {name} was revoked")
        if expires_in_s is not None and expires_in_s <= 0:
            return _Entry(until, f"token {name} has expired")
        viewer = Viewer(
            name=name,
            scopes=frozenset(Scope(scope) for scope in row["scopes"]),
            node=row["node"],
            cluster=row["cluster"],
            user=row["user_name"],
        )
        if expires_in_s is not None:
            until = min(until, time.monotonic() + expires_in_s)
        return _Entry(until, viewer)
