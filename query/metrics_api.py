"""GET /metrics: what is alive now, and the service's own metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from query.catalogue import CATALOGUE, SEED_NAMES
from query.exposition import gzipped, render
from query.jobcounts import JobCounter
from query.labeltext import LabelTexts
from query.metric import Metric
from query.negotiation import OPENMETRICS, accepts_gzip, choose_format
from query.selfmetrics import QueryMetrics
from query.snapshot import Snapshot, read_snapshot, relations
from tsobs.db import Database
from tsobs.viewer import VIEWER

__all__ = ["MetricsHandler"]

# A page of a large cluster is 20 MB of columns in memory; more are not read at once.
PAGES_AT_ONCE = 2
# Nor held at once, by clients that take them slowly.
PAGES_OPEN = 8
# What is rendered and packed at a time: a trip to a thread for each small metric would cost more.
PIECE_BYTES = 256 * 1024


class MetricsHandler:
    """The page; reading columns, rendering and compression run in a thread, a piece at a time."""

    def __init__(
        self,
        database: Database,
        registry: CollectorRegistry,
        metrics: QueryMetrics,
        *,
        seed_names: bool = False,
    ) -> None:
        self._database = database
        self._registry = registry
        self._metrics = metrics
        self._catalogue: Sequence[Metric] = (*CATALOGUE, *(SEED_NAMES if seed_names else ()))
        self._counter = JobCounter()
        self._label_texts = LabelTexts()
        metrics.label_texts.set_function(self._label_texts.__len__)
        self._reading = asyncio.Semaphore(PAGES_AT_ONCE)
        self._open = asyncio.Semaphore(PAGES_OPEN)

    async def all(self, request: web.Request) -> web.StreamResponse:
        """What is alive and the viewer may see, then the service's own metrics."""
        content_type = choose_format(request.headers.get("Accept", ""))
        headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
        if request.method == "HEAD":
            return web.Response(headers=headers)
        async with self._open:
            async with self._reading:
                with self._metrics.read_seconds.time():
                    snapshot = await read_snapshot(self._database, self._counter, request[VIEWER])
            with self._metrics.render_seconds.time():
                return await _send(request, headers, self._page(snapshot, content_type))

    def _page(self, snapshot: Snapshot, content_type: str) -> Iterator[bytes]:
        size = 0
        tables = relations(snapshot)
        self._metrics.job_nodes.set(tables["job_node"].rows)
        for piece in render(self._catalogue, tables, self._label_texts, content_type):
            size += len(piece)
            yield piece
        self._metrics.page_bytes.set(size)
        if content_type == OPENMETRICS:
            yield openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call]
        else:
            yield generate_latest(self._registry)


async def _send(
    request: web.Request, headers: dict[str, str], pieces: Iterable[bytes]
) -> web.StreamResponse:
    """Streams a page; each piece is made in a thread."""
    if accepts_gzip(request.headers.get("Accept-Encoding", "")):
        headers["Content-Encoding"] = "gzip"
        pieces = gzipped(pieces)
    larger = _gathered(pieces)
    # Before the headers: what fails here still gets an answer of its own.
    piece = await asyncio.to_thread(next, larger, None)
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    while piece is not None:
        await response.write(piece)
        piece = await asyncio.to_thread(next, larger, None)
    await response.write_eof()
    return response


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces that are worth sending."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)
