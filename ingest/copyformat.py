"""PostgreSQL's binary COPY format, written from columns.

A row is an int16 count of fields, then for each field an int32 length (−1 for null) and its bytes,
all
big-endian. Rows without nulls have one width, so a whole group is laid out as a matrix of bytes;
nulls are
cut out of it afterwards with one mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Key", "encode", "timestamps"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[Any]

HEADER = b"PGCOPY\n\xff\r\n\x00" + b"\x00" * 8
TRAILER = b"\xff\xff"
# PostgreSQL counts microseconds from 2000-01-01.
POSTGRES_EPOCH_S = 946_684_800
_CELL = np.dtype([("length", ">i4"), ("value", ">f8")])


class Key(NamedTuple):
    """An integer column (int32 or int64, as its dtype says); `nulls` is True where a row has
    none."""

    values: Ints
    nulls: npt.NDArray[np.bool_] | None = None


def timestamps(unix_s: Floats) -> Key:
    """A timestamptz column from unix seconds, to the microsecond."""
    return Key(np.rint((unix_s - POSTGRES_EPOCH_S) * 1e6).astype(np.int64))


def encode(keys: Sequence[Key], values: Floats) -> bytes:
    """A whole COPY stream: first the key columns, then the float8 rows of `values` (columns ×
    rows, NaN for
    null)."""
    count, rows = values.shape
    widths = [key.values.dtype.itemsize for key in keys]
    start = 2 + sum(4 + width for width in widths)
    table = np.empty((rows, start + 12 * count), np.uint8)
    table[:, :2] = np.frombuffer(np.array(len(keys) + count, ">i2").tobytes(), np.uint8)
    nulls = np.isnan(values)
    kept = np.ones(table.shape, np.bool_) if nulls.any() or _any_nulls(keys) else None
    at = 2
    for key, width in zip(keys, widths, strict=True):
        _write_key(table, kept, at, width, key)
        at += 4 + width
    cells = np.empty((rows, count), _CELL)
    cells["value"] = values.T
    cells["length"] = np.where(nulls.T, -1, 8) if kept is not None else 8
    table[:, start:] = cells.view(np.uint8).reshape(rows, 12 * count)
    if kept is None:
        return HEADER + table.tobytes() + TRAILER
    cell_kept = np.ones((rows, count, 12), np.bool_)
    cell_kept[:, :, 4:] = ~nulls.T[:, :, np.newaxis]
    kept[:, start:] = cell_kept.reshape(rows, 12 * count)
    return HEADER + table[kept].tobytes() + TRAILER


def _any_nulls(keys: Sequence[Key]) -> bool:
    return any(key.nulls is not None and key.nulls.any() for key in keys)


def _write_key(
    table: npt.NDArray[np.uint8],
    kept: npt.NDArray[np.bool_] | None,
    at: int,
    width: int,
    key: Key,
) -> None:
    rows = len(table)
    length = np.full(rows, width, ">i4")
    if key.nulls is not None:
        length[key.nulls] = -1
        if kept is not None:
            kept[:, at + 4 : at + 4 + width] = ~key.nulls[:, np.newaxis]
    table[:, at : at + 4] = length.view(np.uint8).reshape(rows, 4)
    big_endian = key.values.astype(key.values.dtype.newbyteorder(">"))
    table[:, at + 4 : at + 4 + width] = big_endian.view(np.uint8).reshape(rows, width)
