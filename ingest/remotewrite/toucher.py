"""Tells the database which series are sampled again, before their samples are stored: what was
told of cannot be removed meanwhile."""

from __future__ import annotations

import asyncio
from itertools import islice

import numpy as np
import numpy.typing as npt

from ingest.quarrel import retried
from tsobs.db import Database

__all__ = ["Toucher"]

AT_ONCE = 10_000


class Toucher:
    """What waits to be told; each series once an hour, so there is little. What the database did
    not take is owed, and told before anything else goes on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: set[int] = set()
        self._owed = False
        self._telling = asyncio.Lock()

    async def touch(self, series_ids: npt.NDArray[np.int64]) -> None:
        """Returns when these, and what is owed, are told; raises what the database does."""
        if not len(series_ids) and not self._owed:
            return
        self._waiting.update(series_ids.tolist())
        async with self._telling:
            self._owed = True
            while part := sorted(islice(self._waiting, AT_ONCE)):
                await self._tell(part)
                self._waiting.difference_update(part)
            self._owed = False

    async def _tell(self, part: list[int]) -> None:
        async def tell() -> None:
            await self._database.execute("touch_series", part)

        await retried(tell)
