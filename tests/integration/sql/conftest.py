"""A connection to a fresh database, and observations of jobs made through it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.integration.sql.labelled import Store
from tests.integration.sql.observing import Connection, Jobs


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    """The superuser's connection to this test's database; jsonb as Python values."""
    opened: Connection = await asyncpg.connect(database_url, server_settings={"timezone": "UTC"})
    await opened.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=str, decoder=json.loads, format="text"
    )
    yield opened
    await opened.close()


@pytest.fixture
def jobs(connection: Connection) -> Jobs:
    """Observations in this test's database."""
    return Jobs(connection)


@pytest.fixture
def store(connection: Connection) -> Store:
    """Series and samples in this test's database."""
    return Store(connection)
