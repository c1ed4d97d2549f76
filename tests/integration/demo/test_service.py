from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientSession

from tests.acceptance.asking import is_refused
from tsobs.demo.service import open_service
from tsobs.errors import SetupError
from tsobs.listen import open_listeners
from tsobs.settings import Settings


async def test_it_serves_until_it_is_closed(database_url: str) -> None:
    [listeners] = open_listeners("127.0.0.1", 0)
    settings = Settings(database_url=database_url, shutdown_grace_s=1)
    async with open_service(settings, listeners) as service:
        async with ClientSession() as session, session.get(f"{service.url}/v1/health") as answer:
            assert answer.status == 200
        ended = asyncio.create_task(service.ended())
        await asyncio.sleep(0)
        assert not ended.done()
        ended.cancel()
    assert await asyncio.to_thread(is_refused, service.url)


async def test_what_keeps_it_from_serving_is_raised(empty_database_url: str) -> None:
    [listeners] = open_listeners("127.0.0.1", 0)
    with pytest.raises(SetupError):
        async with open_service(Settings(database_url=empty_database_url), listeners):
            pass
