"""A running service and a remote-write sender to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.ingest.remotewrite.writing import Remote, open_remote


@pytest.fixture
async def remote(service_url: str) -> AsyncIterator[Remote]:
    """Posts to a service with the default settings and no tokens."""
    async with open_remote(service_url) as opened:
        yield opened
