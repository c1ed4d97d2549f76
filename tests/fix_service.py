"""A whole service in the test's own process, on a free port, with a real database behind it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tsobs.serve import run
from tsobs.settings import Settings

StartService = Callable[..., Awaitable[str]]

START_TIMEOUT_S = 30.0


@pytest.fixture
async def start_service(database_url: str) -> AsyncIterator[StartService]:
    """Starts services with the settings given; each is stopped, and must stop, with the test."""
    running: list[tuple[asyncio.Task[None], asyncio.Event]] = []

    async def start(**changes: object) -> str:
        settings = dataclasses.replace(
            Settings(database_url=database_url, port=0, shutdown_grace_s=2.0),
            **changes,  # type: ignore[arg-type]
        )
        url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        stop = asyncio.Event()
        task = asyncio.create_task(run(settings, ready=url.set_result, stop=stop), name="service")
        running.append((task, stop))
        waiting: list[asyncio.Future[Any]] = [task, url]
        async with asyncio.timeout(START_TIMEOUT_S):
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            running.pop()
            await task
        return url.result()

    yield start
    for task, stop in running:
        stop.set()
        async with asyncio.timeout(START_TIMEOUT_S):
            await task


@pytest.fixture
async def service_url(start_service: StartService) -> str:
    """The URL of a service with the default settings and no tokens."""
    return await start_service()
