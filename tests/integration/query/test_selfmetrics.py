"""What the query side says of itself."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from query.selfmetrics import QueryMetrics
from tsobs.db import open_database


async def test_the_pool_is_told_as_it_is(database_url: str) -> None:
    registry = CollectorRegistry()

    def connections(use: str) -> float | None:
        return registry.get_sample_value("tsobs_query_connections", {"use": use})

    async with open_database(database_url, role="tsobs_query", size=2) as database:
        QueryMetrics(registry, database)
        assert (connections("idle"), connections("busy")) == (1, 0)
        async with database.transaction():
            assert (connections("idle"), connections("busy")) == (0, 1)
