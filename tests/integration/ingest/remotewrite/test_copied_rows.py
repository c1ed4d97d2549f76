"""PostgreSQL takes the kernels' COPY bytes, to the last bit and the last millisecond."""

from __future__ import annotations

import io
import struct
from collections.abc import AsyncIterator
from types import ModuleType

import asyncpg
import numpy as np
import pytest

from ingest.remotewrite.decoded import Limits
from tests.unit.ingest.copyreader import SIGNATURE
from tests.unit.ingest.remotewrite.bodies import NOW_MS, STALE
from tests.unit.ingest.remotewrite.oracle import KERNELS

POSTGRES_EPOCH_MS = 946_684_800_000


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    made = await asyncpg.connect(database_url)
    await made.execute(
        "create temporary table copied (time timestamptz, series_id int8, value float8)"
    )
    yield made
    await made.close()


async def copy(connection: asyncpg.Connection, data: bytes) -> None:
    await connection.copy_to_table("copied", source=io.BytesIO(data), format="binary")


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.__name__)
async def test_rows_arrive_as_they_were(connection: asyncpg.Connection, kernel: ModuleType) -> None:
    times = [NOW_MS, NOW_MS + 1, Limits.TIME_MIN_MS, Limits.TIME_MAX_MS, -1]
    words = [STALE, 0x7FF8000000000001, 1 << 63, 0x7FF0000000000000, 0x3FF8000000000000]
    series = [5, 2**63 - 1, 7, 7, -(2**63)]
    data, count = kernel.copy_rows(
        np.array(series, np.int64), np.array(times, np.int64), np.array(words, np.uint64)
    )
    await copy(connection, data)
    rows = await connection.fetch(
        "select extract(epoch from time)::numeric * 1000 as ms, series_id,"
        " float8send(value) as word from copied"
    )
    found = [(int(row["ms"]), row["series_id"], row["word"]) for row in rows]
    expected = [(t, s, w.to_bytes(8, "big")) for t, s, w in zip(times, series, words, strict=True)]
    assert sorted(found) == sorted(expected)
    assert count == len(rows) == 5


@pytest.mark.parametrize("time_ms", [Limits.TIME_MIN_MS - 1, Limits.TIME_MAX_MS + 1])
async def test_what_the_kernels_refuse_postgresql_refuses(
    connection: asyncpg.Connection, time_ms: int
) -> None:
    row = struct.pack(">hiqiqid", 3, 8, (time_ms - POSTGRES_EPOCH_MS) * 1000, 8, 1, 8, 1.5)
    with pytest.raises(asyncpg.DataError):
        await copy(connection, SIGNATURE + bytes(8) + row + b"\xff\xff")
