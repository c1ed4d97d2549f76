"""Which series were removed meanwhile: ids are remembered, and maintenance takes series away."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from tsobs.db import Record

__all__ = ["Epochs"]

# Ids of removed series kept for bodies that are on their way; past it those are taken for stale.
KEPT_IDS = 1_000_000

Ints = npt.NDArray[np.int64]
Forget = Callable[[Collection[int] | None], None]


class _Asked(Protocol):
    """A database, or a connection inside a transaction."""

    async def fetchrow(self, name: str, *args: object) -> Record | None: ...


class _Removal(NamedTuple):
    epoch: int
    series_ids: Ints


class Epochs:
    """The newest epoch that is known here, and what was removed up to it. `forget` is told the ids
    that are gone, or None for all."""

    def __init__(self, forget: Forget) -> None:
        self._forget = forget
        self._known: int | None = None
        # Bodies begun before this epoch cannot be judged.
        self._floor = 0
        self._removals: list[_Removal] = []

    @property
    def known(self) -> int:
        """The newest epoch; `learn` comes first."""
        assert self._known is not None
        return self._known

    async def learn(self, database: _Asked) -> None:
        """Asks for the epoch, once in a process; raises Overloaded."""
        if self._known is None:
            row = await database.fetchrow("removed_series", 0)
            assert row is not None
            if self._known is None:
                self._known = self._floor = row["epoch"]

    async def advance(self, connection: _Asked, epoch: int) -> None:
        """Forgets what was removed up to `epoch`, which a transaction has just seen."""
        if epoch == self.known:
            return
        row = await connection.fetchrow("removed_series", self.known)
        assert row is not None
        if row["epoch"] <= self.known:
            return  # another task was quicker
        self._known = row["epoch"]
        ids = row["series_ids"]
        self._forget(ids)
        if ids is None:
            self._removals.clear()
            self._floor = self.known
        else:
            self._remember(_Removal(self.known, np.array(ids, np.int64)))

    def _remember(self, removal: _Removal) -> None:
        self._removals.append(removal)
        while sum(len(kept.series_ids) for kept in self._removals) > KEPT_IDS:
            self._floor = self._removals.pop(0).epoch

    def is_stale(self, since: int, series_ids: Ints) -> bool:
        """Whether one of these ids, looked up at epoch `since`, may be of a removed series."""
        if since < self._floor:
            return True
        newer = [removal.series_ids for removal in self._removals if removal.epoch > since]
        return bool(newer) and bool(np.isin(series_ids, np.concatenate(newer)).any())
