"""The service itself, in the demo's own process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tsobs.errors import TsobsError
from tsobs.listen import Listeners
from tsobs.serve import run
from tsobs.settings import Settings

__all__ = ["Service", "open_service"]


class Service:
    """A running service at `url`."""

    name = "service"

    def __init__(self, task: asyncio.Task[None], url: str) -> None:
        self._task = task
        self.url = url

    async def ended(self) -> str:
        """Returns when it ended by itself."""
        await asyncio.wait([self._task])
        if self._task.cancelled() or self._task.exception() is None:
            return "it stopped"
        error = self._task.exception()
        return error.message if isinstance(error, TsobsError) else repr(error)


@asynccontextmanager
async def open_service(settings: Settings, listeners: Listeners) -> AsyncIterator[Service]:
    """Serves on the listeners; at the end requests in progress may finish. Raises SetupError."""
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    task = asyncio.create_task(
        run(settings, ready=url.set_result, stop=stop, listeners=listeners), name="service"
    )
    try:
        waiting: list[asyncio.Future[Any]] = [task, url]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not url.done():
            await task
        yield Service(task, url.result())
    finally:
        stop.set()
        if not url.done():
            task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            # Whoever watches has told it, or will not want to know any more.
            task.exception()
