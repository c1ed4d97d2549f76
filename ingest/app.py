"""What the ingest side is made of, opened and closed in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from ingest.body import ByteBudget
from ingest.eventmetrics import EventMetrics
from ingest.events import EventsHandler
from ingest.eventwriter import EventWriter
from ingest.jobs_api import ClientJobsHandler
from ingest.names import Names
from ingest.parcel import Opener
from ingest.payload import ObjectReader
from ingest.remotewrite.app import open_remote_write
from ingest.reported import ReportedHandler
from ingest.samples import SamplesHandler
from ingest.selfmetrics import IngestMetrics
from ingest.writer import Writer
from tsobs.db import Database, open_database
from tsobs.settings import Settings
from tsobs.web import Handlers

__all__ = ["open_ingest"]

# Temporary tables of each connection that totals pass through.
STAGING = ("create_job_node_add", "create_job_gpu_add", "create_gpu_add", "create_node_add")
# A flush joins a few rows with large tables by key. The planner knows nothing of a temporary
# table's size and would read the large one whole.
PLANNER = {"enable_hashjoin": "off", "enable_mergejoin": "off"}
# One commits while the next group runs; more would wait for the same CPUs.
EVENT_WRITERS = 2
# Names are resolved beside the writers' transactions, and events beside both.
EXTRA_CONNECTIONS = 1 + EVENT_WRITERS
# Bodies of the largest size that may be held while they arrive and are parsed; of the usual size,
# a hundred times as many.
BODIES_AT_ONCE = 4


@asynccontextmanager
async def open_ingest(settings: Settings, registry: CollectorRegistry) -> AsyncIterator[Handlers]:
    """Handlers of the ingest routes; on leaving, what is queued is still written."""
    assert settings.database_url is not None
    async with open_database(
        settings.database_url,
        role="tsobs_ingest",
        size=settings.ingest_connections + EXTRA_CONNECTIONS,
        application_name="tsobs ingest",
        prepare=STAGING,
        settings=PLANNER,
    ) as database:
        metrics = IngestMetrics(registry)
        writer = Writer(
            database,
            Names(database, settings.cluster),
            metrics,
            Opener(cluster=settings.cluster, max_decoded_bytes=settings.max_decoded_bytes),
            flush_s=settings.ingest_flush_ms / 1000,
            queue_bytes=settings.ingest_queue_bytes,
            writers=settings.ingest_connections,
        )
        events = EventWriter(database, EventMetrics(registry), writers=EVENT_WRITERS)
        running = asyncio.create_task(writer.run(), name="ingest-writer")
        committing = asyncio.create_task(events.run(), name="event-writer")
        try:
            async with open_remote_write(settings, registry) as remote_write:
                handlers = _handlers(settings, database, writer, events, metrics)
                yield {**handlers, **remote_write}
        finally:
            writer.stop()
            await events.stop()
            await running
            await committing


def _handlers(
    settings: Settings,
    database: Database,
    writer: Writer,
    committer: EventWriter,
    metrics: IngestMetrics,
) -> Handlers:
    budget = ByteBudget(BODIES_AT_ONCE * settings.max_body_bytes)
    samples = SamplesHandler(writer, metrics, budget=budget, max_body_bytes=settings.max_body_bytes)
    reader = ObjectReader(budget, settings.max_body_bytes)
    events = EventsHandler(committer, reader, cluster=settings.cluster)
    jobs = ClientJobsHandler(database, reader, cluster=settings.cluster)
    return {
        ("POST", "/v1/samples"): samples,
        ("POST", "/v1/events/job-started"): events.started,
        ("POST", "/v1/events/job-finished"): events.finished,
        ("POST", "/v1/jobs"): jobs.create,
        ("PATCH", "/v1/jobs/{id}"): jobs.update,
        ("DELETE", "/v1/jobs/{id}"): jobs.delete,
        ("POST", "/v1/jobs/{id}/metrics"): ReportedHandler(database, reader),
    }
