"""POST /v1/samples: an agent's batch, answered when it is committed."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from ingest.batch import Batch
from ingest.body import ByteBudget, is_gzip, taken_body
from ingest.flush import Outcome
from ingest.parcel import Parcel
from ingest.selfmetrics import IngestMetrics
from ingest.writer import Writer
from tsobs.errors import Conflict
from tsobs.viewer import VIEWER
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
        self, writer: Writer, metrics: IngestMetrics, *, budget: ByteBudget, max_body_bytes: int
    ) -> None:
        self._writer = writer
        self._metrics = metrics
        self._budget = budget
        self._max_body_bytes = max_body_bytes

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        packed = is_gzip(request)
        async with taken_body(request, self._budget, self._max_body_bytes) as body:
            parcel = Parcel(body, packed, request[VIEWER])
        batch, outcome = await self._writer.submit(parcel)
        return json_response(self._answer(batch, outcome))

    def _answer(self, batch: Batch, outcome: Outcome) -> dict[str, Any]:
        if outcome.status == "conflict":
            raise StreamConflict(
                "the stream belongs to another node or was written to by another agent: "
                "start a new one",
                field="stream",
                rule="one agent a stream",
            )
        if batch.ignored:
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
