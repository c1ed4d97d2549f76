from __future__ import annotations

import asyncio
import logging

import pytest

from tsobs.errors import Overloaded
from tsobs.periodic import keep_doing


async def test_a_step_that_fails_is_logged_and_done_again(caplog: pytest.LogCaptureFixture) -> None:
    done = 0
    enough = asyncio.Event()

    async def step() -> None:
        nonlocal done
        done += 1
        if done == 3:
            enough.set()
        if done < 3:
            raise Overloaded("the database is away")

    with caplog.at_level(logging.WARNING):
        task = asyncio.create_task(keep_doing("the sweep", step, 0.001))
        async with asyncio.timeout(5):
            await enough.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [r.getMessage() for r in caplog.records] == [
        "the sweep failed, again in 0.001 s: the database is away"
    ] * 2


async def test_a_fault_of_our_own_is_not_swallowed() -> None:
    async def step() -> None:
        raise ValueError("a fault")

    with pytest.raises(ValueError, match="a fault"):
        await keep_doing("the sweep", step, 0.001)


async def test_a_cancellation_that_a_step_swallows_still_ends_it() -> None:
    begun = asyncio.Event()

    async def step() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return

    task = asyncio.create_task(keep_doing("the sweep", step, 60))
    await begun.wait()
    task.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await task
