"""A running service, a sender to it and a look into its database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.ingest.sending import Sender, Stored, open_sender, open_stored


@pytest.fixture
async def sender(service_url: str) -> AsyncIterator[Sender]:
    """Posts to a service with the default settings and no tokens."""
    async with open_sender(service_url) as opened:
        yield opened


@pytest.fixture
async def stored(database_url: str) -> AsyncIterator[Stored]:
    """The test's database."""
    async with open_stored(database_url) as opened:
        yield opened
