"""What the query side is made of, opened and closed in order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from query.events_api import JobEventsHandler
from query.jobs_api import JobsHandler
from query.metrics_api import MetricsHandler
from query.nodes_api import NodesHandler
from query.selfmetrics import QueryMetrics
from query.series_api import SeriesHandler
from tsobs.db import open_database
from tsobs.errors import SetupError
from tsobs.settings import Settings
from tsobs.web import Handlers

__all__ = ["open_query"]


@asynccontextmanager
async def open_query(settings: Settings, registry: CollectorRegistry) -> AsyncIterator[Handlers]:
    """Handlers of the query routes, over a pool that reads the public relations only."""
    url = settings.read_database_url or settings.database_url
    if url is None:
        raise SetupError("database_url is not set")
    async with open_database(
        url,
        role="tsobs_query",
        size=settings.query_connections,
        application_name="tsobs query",
    ) as database:
        jobs = JobsHandler(database)
        yield {
            ("GET", "/metrics"): MetricsHandler(
                database,
                registry,
                QueryMetrics(registry, database),
                seed_names=settings.seed_metric_names,
            ).all,
            ("GET", "/v1/jobs"): jobs.list,
            ("GET", "/v1/jobs/{id}"): jobs.one,
            ("GET", "/v1/jobs/{id}/metrics"): SeriesHandler(database).series,
            ("GET", "/v1/jobs/{id}/events"): JobEventsHandler(database).list,
            ("GET", "/v1/nodes"): NodesHandler(database).list,
        }
