"""Which times a sample may have: not past its retention, and not ahead of the clock."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tsobs.db import Database
from tsobs.errors import Overloaded

__all__ = ["AHEAD_S", "Window", "Windows"]

# As in Prometheus' own receiver: a sender's clock may be so far off.
AHEAD_S = 600
# How long the retention setting is taken for granted.
TTL_S = 60.0

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Window(NamedTuple):
    """Unix milliseconds, both ends included."""

    oldest_ms: int
    newest_ms: int

    def too_old(self, time_ms: Ints) -> Bools | None:
        """Which are older than the retention; None for none of them."""
        if not len(time_ms) or int(time_ms.min()) >= self.oldest_ms:
            return None
        return time_ms < self.oldest_ms

    def ahead(self, time_ms: Ints) -> Bools | None:
        """Which are too far in the future; None for none of them."""
        if not len(time_ms) or int(time_ms.max()) <= self.newest_ms:
            return None
        return time_ms > self.newest_ms


class Windows:
    """The window of the moment; the retention is asked for now and then."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._retention_s: float | None = None
        self._asked_at = float("-inf")

    async def now(self) -> Window:
        """The window; raises Overloaded when the retention was never to be had."""
        if time.monotonic() - self._asked_at > TTL_S:
            await self._ask()
        assert self._retention_s is not None
        now_s = time.time()
        oldest_s = now_s - self._retention_s
        return Window(round(oldest_s * 1000), round((now_s + AHEAD_S) * 1000))

    async def _ask(self) -> None:
        asked_at = time.monotonic()
        if self._retention_s is not None:
            # Who comes meanwhile does not ask as well.
            self._asked_at = asked_at
        try:
            self._retention_s = await self._database.fetchval("sample_retention_seconds")
        except Overloaded:
            if self._retention_s is None:
                raise
        self._asked_at = asked_at
