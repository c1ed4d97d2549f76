"""One commit: the rows of many bodies made ready for COPY, and the transaction that stores them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import numpy.typing as npt

from ingest.remotewrite.epochs import Epochs
from ingest.remotewrite.keptconnection import KeptConnection
from ingest.remotewrite.kernel import copy_rows
from ingest.remotewrite.storedbody import StoredBody
from tsobs.db import Connection

__all__ = ["EXEMPLAR_COLUMNS", "HISTOGRAM_COLUMNS", "Prepared", "Stale", "prepare", "store"]

SAMPLE_COLUMNS = ("time", "series_id", "value")
EXEMPLAR_COLUMNS = ("time", "series_id", "value", "labels")
HISTOGRAM_COLUMNS = (
    "time", "series_id", "count_int", "count_float", "sum", "schema", "zero_threshold",
    "zero_count_int", "zero_count_float", "negative_span_offsets", "negative_span_lengths",
    "negative_deltas", "negative_counts", "positive_span_offsets", "positive_span_lengths",
    "positive_deltas", "positive_counts", "reset_hint", "custom_values", "start_time",
)  # fmt: skip
BUCKET_MS = 300_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Stale(Exception):
    """Bodies (by hash) some of whose ids may be of removed series; nothing was stored."""

    def __init__(self, hashes: frozenset[UUID]) -> None:
        super().__init__(f"{len(hashes)} bodies name removed series")
        self.hashes = hashes


class Prepared(NamedTuple):
    """Bodies, each hash once, and their samples as a COPY stream of `samples` rows."""

    bodies: Sequence[StoredBody]
    data: bytes
    samples: int
    identical: int
    buckets: Sequence[datetime]


def prepare(bodies: Sequence[StoredBody]) -> Prepared:
    """Sorts and encodes; heavy enough for a thread."""
    series_id = np.concatenate([body.series_id for body in bodies])
    if not len(series_id):
        return Prepared(bodies, b"", 0, 0, ())
    time_ms = np.concatenate([body.time_ms for body in bodies])
    bits = np.concatenate([body.bits for body in bodies])
    data, rows = copy_rows(series_id, time_ms, bits)
    return Prepared(bodies, data, rows, len(series_id) - rows, _buckets(time_ms))


def _buckets(time_ms: npt.NDArray[np.int64]) -> list[datetime]:
    """The starts of the five minutes that there are samples in."""
    first, last = int(time_ms.min()) // BUCKET_MS, int(time_ms.max()) // BUCKET_MS
    numbers = {first, last}
    if last - first > 1:
        numbers = set(np.unique(time_ms // BUCKET_MS).tolist())
    return [EPOCH + timedelta(milliseconds=number * BUCKET_MS) for number in sorted(numbers)]


async def store(kept: KeptConnection, epochs: Epochs, prepared: Prepared) -> Prepared:
    """Claims and copies in one transaction; what was stored, without bodies that were there before.
    Raises Stale."""
    async with kept.transaction() as connection:
        await _check_ids(connection, epochs, prepared.bodies)
        hashes = sorted(body.hash for body in prepared.bodies)
        claimed = {row["hash"] for row in await connection.fetch("claim_bodies", hashes)}
        if len(claimed) < len(hashes):
            new = [body for body in prepared.bodies if body.hash in claimed]
            if not new:
                return Prepared((), b"", 0, 0, ())
            prepared = prepare(new)
        await _copy(connection, prepared)
    return prepared


async def _check_ids(connection: Connection, epochs: Epochs, bodies: Sequence[StoredBody]) -> None:
    """From here to the commit no series is removed."""
    epoch: int = await connection.fetchval("begin_sample_copy")
    await epochs.advance(connection, epoch)
    stale = frozenset(
        body.hash
        for body in bodies
        if body.epoch != epoch and epochs.is_stale(body.epoch, body.ids)
    )
    if stale:
        raise Stale(stale)


async def _copy(connection: Connection, prepared: Prepared) -> None:
    if prepared.samples:
        await connection.copy_binary(
            "sample", prepared.data, columns=SAMPLE_COLUMNS, schema="tsobs_store"
        )
        await connection.execute("note_samples", prepared.buckets)
    exemplars = _sorted(row for body in prepared.bodies for row in body.exemplars)
    if exemplars:
        await connection.copy_records(
            "exemplar", exemplars, columns=EXEMPLAR_COLUMNS, schema="tsobs_store"
        )
    histograms = _sorted(row for body in prepared.bodies for row in body.histograms)
    if histograms:
        await connection.copy_records(
            "histogram", histograms, columns=HISTOGRAM_COLUMNS, schema="tsobs_store"
        )


def _sorted(rows: Any) -> list[tuple[Any, ...]]:
    return sorted(rows, key=lambda row: (row[1], row[0]))
