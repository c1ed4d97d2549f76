"""The limit: binary COPY of the same rows into the same table of the same database."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TypeAlias

import asyncpg
import numpy as np
import numpy.typing as npt

from tests.bench.remotewritebodies import Load, Rows, rows
from tests.bench.remotewriteregister import register
from tsobs.sqlfiles import query

__all__ = ["check_stored", "copy_rates"]

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

BATCH_ROWS = 100_000
PIECE_BYTES = 1 << 20
EPOCH_MS = 946_684_800_000
ROW = np.dtype(
    [("n", ">i2"), ("l1", ">i4"), ("t", ">i8"), ("l2", ">i4"), ("s", ">i8"), ("l3", ">i4"),
     ("v", ">f8")]
)  # fmt: skip
STORED = "select count(*), sum(value) from tsobs.sample"
HEAD, TAIL = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"


async def check_stored(url: str, loads: Sequence[Load]) -> None:
    """Raises AssertionError unless the database has as many samples as the bodies, and their
    sum."""
    values = [part.values for one in loads for c in range(one.connections) for part in rows(one, c)]
    connection = await asyncpg.connect(url)
    try:
        count, total = await connection.fetchrow(STORED) or (0, 0)
    finally:
        await connection.close()
    assert count == sum(len(part) for part in values)
    assert math.isclose(total, math.fsum(part.sum() for part in values), rel_tol=1e-9)


async def copy_rates(url: str, load: Load, connections: Sequence[int]) -> dict[int, float]:
    """Rows/s by number of connections, the table emptied before each."""
    connection = await asyncpg.connect(url)
    try:
        ids = await register(connection, range(load.series))
    finally:
        await connection.close()
    batches = [_encoded(part, ids) for part in _batches(load)]
    return {count: load.sent / await _timed(url, batches, count) for count in connections}


async def _timed(url: str, batches: list[bytes], count: int) -> float:
    admin = await asyncpg.connect(url)
    await admin.execute("truncate tsobs_store.sample")
    await admin.execute("checkpoint")
    opened: list[Connection] = [await asyncpg.connect(url) for _ in range(count)]
    waiting = iter(batches)
    started = time.perf_counter()
    await asyncio.gather(*(_drain(connection, waiting) for connection in opened))
    wall_s = time.perf_counter() - started
    stored = await admin.fetchval("select count(*) from tsobs_store.sample")
    for connection in (admin, *opened):
        await connection.close()
    assert stored == sum(len(batch) - len(HEAD + TAIL) for batch in batches) // ROW.itemsize
    return wall_s


async def _drain(connection: Connection, waiting: Iterator[bytes]) -> None:
    for batch in waiting:
        async with connection.transaction():
            # What this server's capabilities want for a COPY is the same for both.
            await connection.execute(query("begin_sample_copy"))
            await connection.copy_to_table(
                "sample",
                schema_name="tsobs_store",
                columns=["time", "series_id", "value"],
                source=_pieces(batch),
                format="binary",
            )


async def _pieces(batch: bytes) -> AsyncIterator[bytes]:
    view = memoryview(batch)
    for start in range(0, len(view), PIECE_BYTES):
        yield bytes(view[start : start + PIECE_BYTES])


def _batches(load: Load) -> Iterator[Rows]:
    """Bodies of all streams in turns, as they arrive, joined to batches."""
    streams = [rows(load, connection) for connection in range(load.connections)]
    gathered: list[Rows] = []
    for bodies in zip(*streams, strict=True):
        for body in bodies:
            gathered.append(body)
            if sum(len(part.series) for part in gathered) >= BATCH_ROWS:
                yield _joined(gathered)
                gathered = []
    if gathered:
        yield _joined(gathered)


def _joined(parts: list[Rows]) -> Rows:
    return Rows(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _encoded(content: Rows, ids: npt.NDArray[np.int64]) -> bytes:
    series = ids[content.series]
    order = np.lexsort((content.time_ms, series))
    table = np.empty(len(series), ROW)
    table["n"], table["l1"], table["l2"], table["l3"] = 3, 8, 8, 8
    table["t"] = (content.time_ms[order] - EPOCH_MS) * 1000
    table["s"] = series[order]
    table["v"] = content.values[order]
    return HEAD + table.tobytes() + TAIL
