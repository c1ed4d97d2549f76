"""What remote-write is made of, opened and closed in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from ingest.body import ByteBudget
from ingest.remotewrite.epochs import Epochs
from ingest.remotewrite.handler import RemoteWriteHandler
from ingest.remotewrite.kernel import KERNEL, SeriesCache
from ingest.remotewrite.metadata import MetadataStore
from ingest.remotewrite.receiver import Parts, Receiver
from ingest.remotewrite.remotemetrics import RemoteWriteMetrics
from ingest.remotewrite.resolver import Resolver
from ingest.remotewrite.samplewriter import SampleWriter
from ingest.remotewrite.toucher import Toucher
from ingest.remotewrite.window import Windows
from tsobs.db import Database, open_database
from tsobs.settings import Settings
from tsobs.web import Handlers

__all__ = ["open_remote_write"]

# Series are resolved beside the writers' transactions, and metadata, touches and the retention are
# asked for beside both.
EXTRA_CONNECTIONS = 2


@asynccontextmanager
async def open_remote_write(
    settings: Settings, registry: CollectorRegistry
) -> AsyncIterator[Handlers]:
    """The handlers; on leaving, what is queued is still committed."""
    assert settings.database_url is not None
    async with open_database(
        settings.database_url,
        role="tsobs_ingest",
        size=settings.remote_write_connections + EXTRA_CONNECTIONS,
        application_name="tsobs remote-write",
    ) as database:
        parts = _parts(settings, database, RemoteWriteMetrics(registry))
        budget = ByteBudget(settings.remote_write_queue_bytes)
        parts.metrics.watch(
            kernel=KERNEL, cached=lambda: len(parts.cache), held=lambda: budget.held_bytes
        )
        handler = RemoteWriteHandler(Receiver(parts), parts.metrics, budget=budget)
        resolving = asyncio.create_task(parts.resolver.run(), name="resolver")
        writing = asyncio.create_task(parts.writer.run(), name="sample-writer")
        try:
            yield {("POST", "/api/v1/write"): handler, ("POST", "/api/v1/push"): handler}
        finally:
            parts.resolver.stop()
            await resolving
            parts.writer.stop()
            await writing


def _parts(settings: Settings, database: Database, metrics: RemoteWriteMetrics) -> Parts:
    cache = SeriesCache(settings.remote_write_cache_series)

    def forget(series_ids: Collection[int] | None) -> None:
        resolver.forget(series_ids)
        if series_ids is None:
            cache.clear()
        else:
            cache.forget(series_ids)

    epochs = Epochs(forget)
    resolver = Resolver(database, epochs, metrics)
    return Parts(
        database=database,
        cache=cache,
        epochs=epochs,
        windows=Windows(database),
        resolver=resolver,
        toucher=Toucher(database),
        metadata=MetadataStore(database),
        writer=SampleWriter(database, epochs, metrics, writers=settings.remote_write_connections),
        metrics=metrics,
    )
