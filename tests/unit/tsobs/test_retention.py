from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from tsobs import retention
from tsobs.errors import Overloaded


@pytest.mark.parametrize("answer", ["an error", "its result"])
async def test_it_ends_when_the_driver_swallows_the_cancellation(
    monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """Else the service would not stop before the next round, ten minutes later."""
    asked = asyncio.Event()

    async def maintain_once(url: str) -> int:
        asked.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        if answer == "an error":
            raise Overloaded("the database is away")
        return 0

    monkeypatch.setattr(retention, "maintain_once", maintain_once)
    task = asyncio.create_task(retention.keep_maintaining("", 60))
    await asked.wait()
    task.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait([task])
    assert task.cancelled()
