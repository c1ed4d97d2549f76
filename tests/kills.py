"""kill -9 of the database and of the service in turn, while many send."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from typing import Protocol

import aiohttp

from tests.fix_db import kill
from tests.processes import ServiceProcess
from tsobs.embedded.cluster import Cluster

__all__ = ["Steady", "send_through_kills"]


class Steady(Protocol):
    """Who sends on and on, each thing until it is acknowledged, and ends when it is enough."""

    async def run(self, url: str, client: aiohttp.ClientSession, enough: asyncio.Event) -> None:
        """Sends to the service at `url`."""


async def send_through_kills(
    cluster: Cluster, service: ServiceProcess, senders: Iterable[Steady], kills: int
) -> None:
    """Lets all send while both are killed so many times, and until what they have is delivered."""
    enough = asyncio.Event()
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as client,
        asyncio.TaskGroup() as tasks,
    ):
        for sender in senders:
            tasks.create_task(sender.run(service.url, client, enough))
        for _ in range(kills):
            await asyncio.sleep(random.uniform(0.3, 1.0))
            await asyncio.to_thread(kill, cluster)
            await asyncio.sleep(random.uniform(0.1, 0.5))
            await asyncio.to_thread(cluster.start)
            await asyncio.sleep(random.uniform(0.3, 1.0))
            await asyncio.to_thread(service.kill)
            await asyncio.to_thread(service.start)
        await asyncio.sleep(1)
        enough.set()
