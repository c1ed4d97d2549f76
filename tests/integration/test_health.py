"""The health of a process, whatever its role, with the database there and away."""

from __future__ import annotations

import asyncio
import datetime

import aiohttp
import pytest

from tests.fix_proxy import Proxy
from tests.fix_service import StartService
from tsobs import __version__


@pytest.mark.parametrize("role", ["all", "ingest", "query"])
async def test_health_follows_the_database(
    role: str, start_service: StartService, database_proxy: Proxy
) -> None:
    url = await start_service(role=role, database_url=database_proxy.url)
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/v1/health") as answer:
            body = await answer.json()
            assert (answer.status, body["status"]) == (200, "healthy")
            assert body["version"] == __version__
            moment = datetime.datetime.fromisoformat(body["timestamp"])
            assert abs(datetime.datetime.now(datetime.UTC) - moment).total_seconds() < 60
        await database_proxy.cut()
        await asyncio.sleep(1.1)  # an answer may be a second old
        async with session.get(f"{url}/v1/health") as answer:
            assert (answer.status, (await answer.json())["status"]) == (503, "unhealthy")
        await database_proxy.open()
        await asyncio.sleep(1.1)
        async with session.get(f"{url}/v1/health") as answer:
            assert (answer.status, (await answer.json())["status"]) == (200, "healthy")
