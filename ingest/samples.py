"""POST /v1/samples: an agent's batch, answered when it is committed."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiohttp import web

from ingest.batch import Batch, parse_batch
from ingest.body import INLINE_BYTES, ByteBudget, parse_json, taken_body, unpack
from ingest.flush import Outcome
from ingest.selfmetrics import IngestMetrics
from ingest.writer import Writer
from tsobs.errors import Conflict, Forbidden
from tsobs.viewer import VIEWER, Viewer
from tsobs.web import json_response

__all__ = ["SamplesHandler"]

# Rejected rows that an answer lists; the count is always whole.
LISTED_REJECTS = 100


class StreamConflict(Conflict):
    """The stream belongs to another node, or its newest seq came with another body."""

    code = "stream_conflict"


class SamplesHandler:
    """Takes batches in within bounds and hands them to the writer."""

    def __init__(
        self,
        writer: Writer,
        metrics: IngestMetrics,
        *,
        cluster: str,
        budget: ByteBudget,
        max_body_bytes: int,
        max_decoded_bytes: int,
    ) -> None:
        self._writer = writer
        self._metrics = metrics
        self._cluster = cluster
        self._budget = budget
        self._max_body_bytes = max_body_bytes
        self._max_decoded_bytes = max_decoded_bytes
        # Parsed bodies are many times their size; few at once keep memory flat.
        self._parsing = asyncio.Semaphore(2)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        async with taken_body(request, self._budget, self._max_body_bytes) as body:
            batch = await self._parse(request, body)
        self._check_bounds(request[VIEWER], batch)
        outcome = await self._writer.submit(batch)
        return json_response(self._answer(batch, outcome))

    async def _parse(self, request: web.Request, body: bytes) -> Batch:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        async with self._parsing:
            text = await unpack(request, body, self._max_decoded_bytes)
            if len(text) <= INLINE_BYTES:
                return parse_batch(parse_json(text), text, done)
            return await asyncio.to_thread(lambda: parse_batch(parse_json(text), text, done))

    def _check_bounds(self, viewer: Viewer, batch: Batch) -> None:
        """A token bound to a node or a cluster writes for that one alone."""
        if viewer.node is not None and viewer.node != batch.node.name:
            raise Forbidden(
                f"this token writes for node {viewer.node} only",
                field="node.name",
                rule=f"must be {viewer.node}",
            )
        cluster = batch.cluster or self._cluster
        if viewer.cluster is not None and viewer.cluster != cluster:
            raise Forbidden(
                f"this token writes for cluster {viewer.cluster} only",
                field="cluster",
                rule=f"must be {viewer.cluster}",
            )

    def _answer(self, batch: Batch, outcome: Outcome) -> dict[str, Any]:
        if outcome.status == "conflict":
            raise StreamConflict(
                "the stream belongs to another node or was written to by another agent: "
                "start a new one",
                field="stream",
                rule="one agent a stream",
            )
        self._metrics.ignored.inc(len(batch.ignored))
        if batch.clock_offset_s is not None:
            self._metrics.skewed.inc()
        return {
            "status": outcome.status,
            "time": time.time(),
            "stored": outcome.stored,
            "rejected": [refused._asdict() for refused in outcome.rejected[:LISTED_REJECTS]],
            "rejected_count": len(outcome.rejected),
            "ignored": batch.ignored[:LISTED_REJECTS],
        }
