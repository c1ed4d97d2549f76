from __future__ import annotations

import time
from typing import Any, cast

import numpy as np
import pytest

from ingest.remotewrite import window
from ingest.remotewrite.window import AHEAD_S, Window, Windows
from tsobs.errors import Overloaded


def test_both_ends_belong_to_it() -> None:
    kept = Window(1000, 2000)
    times = np.array([999, 1000, 1500, 2000, 2001])
    too_old, ahead = kept.too_old(times), kept.ahead(times)
    assert too_old is not None
    assert ahead is not None
    assert too_old.tolist() == [True, False, False, False, False]
    assert ahead.tolist() == [False, False, False, False, True]


def test_none_is_said_as_none() -> None:
    kept = Window(1000, 2000)
    for times in (np.array([1000, 2000]), np.array([], np.int64)):
        assert (kept.too_old(times), kept.ahead(times)) == (None, None)


class Retention:
    """Answers the one question of a Windows."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False

    async def fetchval(self, name: str) -> float:
        assert name == "sample_retention_seconds"
        self.asked += 1
        if self.away:
            raise Overloaded("away")
        return 86_400.0


async def test_the_retention_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    retention = Retention()
    windows = Windows(cast("Any", retention))
    retention.away = True
    with pytest.raises(Overloaded):
        await windows.now()
    retention.away = False
    found = await windows.now()
    now_ms = time.time() * 1000
    assert abs(found.oldest_ms - (now_ms - 86_400_000)) < 1000
    assert abs(found.newest_ms - (now_ms + AHEAD_S * 1000)) < 1000
    await windows.now()
    assert retention.asked == 2
    # Past its time it is asked for again; while the database is away the old one is as good.
    monkeypatch.setattr(window, "TTL_S", 0.0)
    retention.away = True
    assert (await windows.now()).newest_ms >= found.newest_ms
    assert retention.asked == 3
