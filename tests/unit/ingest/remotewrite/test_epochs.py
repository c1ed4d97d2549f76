from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

import numpy as np
import pytest

from ingest.remotewrite import epochs as module
from ingest.remotewrite.epochs import Epochs


class Removals:
    """Answers `removed_series` as the database does; the real one is in the integration tests."""

    def __init__(self) -> None:
        self.epoch = 5
        self.since: dict[int, list[int] | None] = {0: None}

    async def fetchrow(self, name: str, *args: object) -> Any:
        assert name == "removed_series"
        return {"epoch": self.epoch, "series_ids": self.since[cast("int", args[0])]}


@pytest.fixture
def forgotten() -> list[Collection[int] | None]:
    return []


async def learned(forgotten: list[Collection[int] | None]) -> tuple[Epochs, Removals]:
    removals = Removals()
    epochs = Epochs(forgotten.append)
    await epochs.learn(removals)
    assert epochs.known == 5
    assert forgotten == []
    return epochs, removals


def ids(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


async def test_removals_make_bodies_stale(forgotten: list[Collection[int] | None]) -> None:
    epochs, removals = await learned(forgotten)
    await epochs.advance(removals, 5)
    removals.epoch, removals.since[5] = 7, [1, 2]
    await epochs.advance(removals, 6)
    assert (epochs.known, forgotten) == (7, [[1, 2]])
    assert epochs.is_stale(5, ids(9, 2))
    assert not epochs.is_stale(5, ids(9))
    assert not epochs.is_stale(7, ids(1))
    removals.epoch, removals.since[7] = 8, [9]
    await epochs.advance(removals, 8)
    assert epochs.is_stale(5, ids(1))
    assert epochs.is_stale(7, ids(9))
    assert not epochs.is_stale(8, ids(1, 2, 9))


async def test_too_long_ago_is_everything(forgotten: list[Collection[int] | None]) -> None:
    epochs, removals = await learned(forgotten)
    removals.epoch, removals.since[5] = 9, None
    await epochs.advance(removals, 9)
    assert forgotten == [None]
    assert epochs.is_stale(5, ids())
    assert not epochs.is_stale(9, ids(1))


async def test_what_is_remembered_is_bounded(
    forgotten: list[Collection[int] | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_IDS", 10)
    epochs, removals = await learned(forgotten)
    for n in range(5, 10):
        removals.epoch, removals.since[n] = n + 1, [10 * n + k for k in range(4)]
        await epochs.advance(removals, n + 1)
    # Whose removals were dropped is stale whatever it names.
    assert epochs.is_stale(7, ids(1))
    assert not epochs.is_stale(8, ids(1))
    assert epochs.is_stale(8, ids(81))
