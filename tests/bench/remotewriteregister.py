"""Series made by SQL alone, with the statements that ingest runs."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TypeAlias

import asyncpg
import numpy as np
import numpy.typing as npt

from tests.bench.remotewritebodies import series_labels
from tsobs.sqlfiles import query

__all__ = ["bury", "register"]

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

AT_ONCE = 5_000


async def register(connection: Connection, numbers: Sequence[int]) -> npt.NDArray[np.int64]:
    """The ids of the benchmark's series of these numbers, in order."""
    known: dict[tuple[str, str], int] = {}
    found: list[int] = []
    for start in range(0, len(numbers), AT_ONCE):
        sets = [series_labels(number) for number in numbers[start : start + AT_ONCE]]
        await _learn(connection, known, sorted(set(chain.from_iterable(sets)) - known.keys()))
        rows = await connection.fetch(
            query("resolve_series"),
            [_identity(labels) for labels in sets],
            [known[label] for labels in sets for label in labels],
            [len(labels) for labels in sets],
        )
        found += [row[0] for row in rows]
    return np.array(found)


async def bury(
    connection: Connection, numbers: Sequence[int], known: dict[tuple[str, str], int]
) -> None:
    """Makes series that ended ten days ago; `known` are label ids of earlier calls."""
    ended_at = datetime.now(UTC) - timedelta(days=10)
    sets = [series_labels(number) for number in numbers]
    await _learn(connection, known, sorted(set(chain.from_iterable(sets)) - known.keys()))
    await connection.copy_records_to_table(
        "series",
        schema_name="tsobs_store",
        columns=["identity", "label_ids", "created_at", "last_seen", "ended_at"],
        records=[
            (_identity(labels), [known[label] for label in labels], ended_at, ended_at, ended_at)
            for labels in sets
        ],
    )


async def _learn(
    connection: Connection, known: dict[tuple[str, str], int], labels: list[tuple[str, str]]
) -> None:
    if labels:
        names, values = zip(*labels, strict=True)
        rows = await connection.fetch(query("resolve_labels"), names, values)
        known.update(zip(labels, (row[0] for row in rows), strict=True))


def _identity(labels: Sequence[tuple[str, str]]) -> uuid.UUID:
    # Any that is the same for the same labels will do here.
    return uuid.UUID(bytes=hashlib.blake2b(repr(labels).encode(), digest_size=16).digest())
