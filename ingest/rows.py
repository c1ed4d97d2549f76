"""The rows of many batches, table by table, as arrays; and the rules that a row must keep."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

from ingest.batch import Batch, Column
from tsobs.columns import TABLES, SampleTable

__all__ = ["Rejection", "Rows", "Window", "gather", "refuse"]

# A clock this far ahead is wrong; a row is refused, never shifted.
MAX_AHEAD_S = 600
# An agent that could not write its state merges intervals; longer than this is no interval.
MAX_INTERVAL_S = 31 * 86_400

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class Rows(NamedTuple):
    """Rows of one table from a group of batches. `values` is measured columns × rows, NaN for null;
    `job` and `gpu` are indexes into their batch's section, −1 for none."""

    table: SampleTable
    batch: Ints
    row: Ints
    time: Floats
    interval: Floats
    job: Ints
    gpu: Ints
    share: Floats
    values: Floats

    def take(self, chosen: Ints | Bools) -> Rows:
        """The rows with these numbers, in this order; or those where a mask is true."""
        return Rows(
            table=self.table,
            batch=self.batch[chosen],
            row=self.row[chosen],
            time=self.time[chosen],
            interval=self.interval[chosen],
            job=self.job[chosen],
            gpu=self.gpu[chosen],
            share=self.share[chosen],
            values=self.values[:, chosen],
        )


class Rejection(NamedTuple):
    """One row that was left out, and why."""

    table: str
    row: int
    field: str
    rule: str


class Window(NamedTuple):
    """The times (unix seconds) that a row may carry."""

    oldest: float
    newest: float

    @classmethod
    def around(cls, now: float, retention_s: float) -> Window:
        """From the edge of raw retention to a little ahead of `now`."""
        return cls(now - retention_s, now + MAX_AHEAD_S)


def gather(table: str, batches: Sequence[Batch]) -> Rows | None:
    """All rows of one table, in the order of `batches`; None when there are none."""
    having = [(n, batch) for n, batch in enumerate(batches) if table in batch.rows]
    if not having:
        return None
    counts = [batch.rows[table] for _, batch in having]
    tables = [batch.tables[table] for _, batch in having]
    spec = TABLES[table]

    def floats(name: str) -> Floats:
        return _floats([columns.get(name) for columns in tables], counts)

    def indexes(name: str) -> Ints:
        column = floats(name)
        return np.where(np.isnan(column), -1, column).astype(np.int64)

    return Rows(
        table=spec,
        batch=np.repeat(np.array([n for n, _ in having], np.int64), counts),
        row=np.concatenate([np.arange(count) for count in counts]),
        time=floats("time"),
        interval=floats("interval_s"),
        job=indexes("job"),
        gpu=indexes("gpu"),
        share=floats("share"),
        values=np.stack([floats(column.name) for column in spec.columns]),
    )


def _floats(parts: Sequence[Column | None], counts: Sequence[int]) -> Floats:
    """One column end to end; a part that lacks it, and a null, are NaN."""
    kinds = set(map(type, parts))
    if kinds == {type(None)}:
        return np.full(sum(counts), np.nan)
    if np.ndarray in kinds:
        return np.concatenate([_array(*both) for both in zip(parts, counts, strict=True)])
    # Of small batches there are many to a flush: no step here may cost one in Python for each.
    if type(None) in kinds:
        parts = [
            [None] * count if part is None else part
            for part, count in zip(parts, counts, strict=True)
        ]
    return np.array(list(chain.from_iterable(cast("Sequence[Column]", parts))), np.float64)


def _array(part: Column | None, count: int) -> Floats:
    return np.full(count, np.nan) if part is None else np.asarray(part, np.float64)


def refuse(rows: Rows, window: Window) -> tuple[Bools, dict[int, list[Rejection]]]:
    """Which rows may stay, and for each batch (by number) those that may not."""
    good = np.ones(len(rows.time), np.bool_)
    reasons: dict[int, list[Rejection]] = {}
    for field, rule, bad in _checks(rows, window):
        for at in np.flatnonzero(bad & good):
            refused = Rejection(rows.table.name, int(rows.row[at]), field, rule)
            reasons.setdefault(int(rows.batch[at]), []).append(refused)
        good &= ~bad
    return good, reasons


def _checks(rows: Rows, window: Window) -> list[tuple[str, str, Bools]]:
    """(field, rule, rows that break it); only what some row breaks."""
    found = [
        ("time", "too_old", rows.time < window.oldest),
        ("time", "too_far_ahead", ~(rows.time <= window.newest)),
        ("interval_s", "out_of_range", ~((rows.interval > 0) & (rows.interval <= MAX_INTERVAL_S))),
    ]
    if "share" in rows.table.keys:
        found.append(("share", "out_of_range", ~((rows.share >= 0) & (rows.share <= 1))))
    columns = rows.table.columns
    lows = np.array([column.low for column in columns])[:, np.newaxis]
    highs = np.array([column.high for column in columns])[:, np.newaxis]
    with np.errstate(invalid="ignore"):
        bad = (rows.values < lows) | (rows.values > highs)
    for n in np.flatnonzero(bad.any(axis=1)):
        rule = np.where(np.isinf(rows.values[n]), "not_finite", "out_of_range")
        for text in ("not_finite", "out_of_range"):
            found.append((columns[n].name, text, bad[n] & (rule == text)))
    return [check for check in found if check[2].any()]
