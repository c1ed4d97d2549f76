"""GET /metrics: what is alive now, and the service's own metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from query.catalogue import CATALOGUE
from query.exposition import CONTENT_TYPE, accepts_gzip, gzipped, render
from query.jobcounts import JobCounter
from query.selfmetrics import QueryMetrics
from query.snapshot import Snapshot, read_snapshot, relations
from tsobs.db import Database
from tsobs.viewer import VIEWER

__all__ = ["MetricsHandler"]

# A page of a large cluster is 100 MB of rows in memory; more readers than this wait.
PAGES_AT_ONCE = 2


class MetricsHandler:
    """The page; rendering and compression run in a thread, one metric at a time."""

    def __init__(
        self, database: Database, registry: CollectorRegistry, metrics: QueryMetrics
    ) -> None:
        self._database = database
        self._registry = registry
        self._metrics = metrics
        self._counter = JobCounter()
        self._gate = asyncio.Semaphore(PAGES_AT_ONCE)

    async def all(self, request: web.Request) -> web.StreamResponse:
        """What is alive and the viewer may see, then the service's own metrics."""
        async with self._gate:
            with self._metrics.read_seconds.time():
                snapshot = await read_snapshot(self._database, self._counter, request[VIEWER])
            self._metrics.job_nodes.set(len(snapshot.job_node))
            with self._metrics.render_seconds.time():
                return await _send(request, self._page(snapshot))

    def _page(self, snapshot: Snapshot) -> Iterator[bytes]:
        size = 0
        for text in render(CATALOGUE, relations(snapshot)):
            piece = text.encode()
            size += len(piece)
            yield piece
        self._metrics.page_bytes.set(size)
        yield generate_latest(self._registry)


async def _send(request: web.Request, pieces: Iterator[bytes]) -> web.StreamResponse:
    """Streams a page; each piece is made in a thread while the one before it is on its way."""
    headers = {"Content-Type": CONTENT_TYPE, "Vary": "Accept-Encoding"}
    if request.method == "HEAD":
        return web.Response(headers=headers)
    if accepts_gzip(request.headers.get("Accept-Encoding", "")):
        headers["Content-Encoding"] = "gzip"
        pieces = gzipped(pieces)
    # Before the headers: what fails here still gets an answer of its own.
    piece = await asyncio.to_thread(next, pieces, None)
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    while piece is not None:
        if piece:
            await response.write(piece)
        piece = await asyncio.to_thread(next, pieces, None)
    await response.write_eof()
    return response
