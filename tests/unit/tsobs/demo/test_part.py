from __future__ import annotations

import asyncio

import pytest

from tsobs.demo.part import PartFailed, Watch
from tsobs.errors import SetupError


class Lamp:
    """Ends when told, in a way that is told."""

    name = "lamp"

    def __init__(self) -> None:
        self.end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def ended(self) -> str:
        return await self.end


async def test_the_first_part_that_ends_is_the_failure() -> None:
    watch, first, second = Watch(), Lamp(), Lamp()
    tasks = [watch.add(first), watch.add(second)]
    first.end.set_result("it burnt out")
    second.end.set_result("too")
    await asyncio.wait(tasks)
    assert watch.failure.result().message == "the lamp ended: it burnt out"


async def test_a_part_that_raises_has_ended_too(caplog: pytest.LogCaptureFixture) -> None:
    for error, reason in ((SetupError("no oil"), "no oil"), (ValueError("x"), "ValueError('x')")):
        watch, lamp = Watch(), Lamp()
        task = watch.add(lamp)
        lamp.end.set_exception(error)
        await task
        failure = watch.failure.result()
        assert isinstance(failure, PartFailed)
        assert failure.message == f"the lamp ended: {reason}"
    assert "the lamp failed" in caplog.text


async def test_a_part_that_is_no_longer_watched_may_end() -> None:
    watch, lamp = Watch(), Lamp()
    task = watch.add(lamp)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert not watch.failure.done()
