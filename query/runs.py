"""Runs of a job that have the same labels are one series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from query.metric import LABELS
from query.table import Table

__all__ = ["merge_runs"]


def merge_runs(
    relation: str, table: Table, counters: Sequence[str] = (), totals: Table | None = None
) -> Table:
    """One row a label set: the newest run's texts and gauges, and the counters of all runs.

    `totals` are of other runs, alive or not; those without a living run of the same labels make no
    series.
    """
    if not table.rows:
        return table
    keys = _keys(relation, table)
    series: dict[tuple[str, ...], int] = {}
    of_row = np.array([series.setdefault(key, len(series)) for key in keys])
    others = _others(table, totals)
    of_other = np.array([series.get(key, -1) for key in _keys(relation, others)], dtype=np.int64)
    if len(series) == table.rows and not (of_other >= 0).any():
        return table
    order = np.lexsort((table.numbers["job_key"], table.numbers["started_s"], of_row))
    newest = order[np.searchsorted(of_row[order], np.arange(len(series)), side="right") - 1]
    merged = Table(
        len(series),
        {name: [column[at] for at in newest] for name, column in table.texts.items()},
        {name: column[newest] for name, column in table.numbers.items()},
    )
    counted = _Counted(table, others, of_row, of_other, len(series))
    return merged.with_numbers(**{name: counted.sum(name) for name in counters})


def _keys(relation: str, table: Table) -> list[tuple[str, ...]]:
    columns = [table.texts[column] for _, column in LABELS[relation]]
    # Not list(): one C call over all rows would keep the event loop from its turn.
    return [key for key in zip(*columns, strict=True)]


def _others(table: Table, totals: Table | None) -> Table:
    """Totals of the runs that have no row of their own with the same key and labels."""
    if totals is None or not totals.rows:
        return Table(0, {name: () for name in table.texts}, table.keep(_none(table)).numbers)
    columns = [name for name in totals.texts if name in table.texts]
    there = set(zip(table.numbers["job_key"].tolist(), *[table.texts[c] for c in columns],
                    strict=True))  # fmt: skip
    rows = zip(totals.numbers["job_key"].tolist(), *[totals.texts[c] for c in columns], strict=True)
    return totals.keep(np.array([row not in there for row in rows]))


def _none(table: Table) -> npt.NDArray[np.bool_]:
    return np.zeros(table.rows, dtype=bool)


class _Counted:
    """Adds counters up by series, in the order of the runs' keys: an order of its own at each
    scrape would let a sum fall by its rounding, which Prometheus takes for a restart."""

    def __init__(
        self,
        table: Table,
        totals: Table,
        of_row: npt.NDArray[np.int64],
        of_other: npt.NDArray[np.int64],
        series: int,
    ) -> None:
        of_all = np.concatenate([of_row, of_other])
        keys = np.concatenate([table.numbers["job_key"], totals.numbers["job_key"]])
        order = np.argsort(keys, kind="stable")
        self._order = order[of_all[order] >= 0]
        self._of = of_all[self._order]
        self._parts = (table, totals)
        self._series = series

    def sum(self, name: str) -> npt.NDArray[np.float64]:
        """The sum of what is known of a counter by series; NaN where nothing is."""
        values = np.concatenate([part.numbers[name] for part in self._parts])[self._order]
        known = ~np.isnan(values)
        weights = np.where(known, values, 0.0)
        sums: npt.NDArray[np.float64] = np.bincount(self._of, weights, self._series).astype(float)
        sums[np.bincount(self._of[known], minlength=self._series) == 0] = np.nan
        return sums
