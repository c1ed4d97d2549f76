"""Rows as columns: what a statement of `sql/queries/metrics.sql` gives, for thousands of rows at a
time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from tsobs.row import Row

__all__ = ["Numbers", "Table", "read_table"]

# float64 where NaN means "not measured", or whole numbers that are keys and flags.
Numbers = npt.NDArray[Any]

# PostgreSQL's binary array of one dimension: five int4 (dimensions, has nulls, type, length, lower
# bound), then each element as an int4 width and its big-endian bytes.
_HEADER = 20
_TYPES = {701: "f8", 20: "i8", 23: "i4"}


class Table(NamedTuple):
    """Columns of the same length by name: texts as lists, numbers as arrays."""

    rows: int
    texts: Mapping[str, Sequence[str]]
    numbers: Mapping[str, Numbers]

    def keep(self, mask: npt.NDArray[np.bool_]) -> Table:
        """The rows where the mask is true."""
        if mask.all():
            return self
        chosen = mask.tolist()
        return Table(
            int(mask.sum()),
            {name: list(compress(column, chosen)) for name, column in self.texts.items()},
            {name: column[mask] for name, column in self.numbers.items()},
        )

    def with_numbers(self, **columns: Numbers) -> Table:
        """The same rows with columns added or replaced."""
        return self._replace(numbers={**self.numbers, **columns})


def read_table(record: Row) -> Table:
    """The one row of columns that a statement gave; no rows make empty columns."""
    texts: dict[str, Sequence[str]] = {}
    numbers: dict[str, Numbers] = {}
    lengths: set[int] = set()
    for name in record.keys():  # noqa: SIM118 - a record iterates over its values
        match record[name]:
            case bytes(data):
                numbers[name] = _numbers(data)
                lengths.add(len(numbers[name]))
            case str(text):
                texts[name] = orjson.loads(text)
                lengths.add(len(texts[name]))
            case None:
                # Nothing says which kind it is: it is an empty column of both.
                texts[name] = ()
                numbers[name] = np.empty(0)
                lengths.add(0)
    if len(lengths) != 1:
        raise ValueError(f"columns of {sorted(lengths)} rows")
    return Table(lengths.pop(), texts, numbers)


def _numbers(data: bytes) -> Numbers:
    dimensions, has_nulls, type_, length, _ = np.frombuffer(data, ">i4", count=5)
    if dimensions != 1 or has_nulls:
        raise ValueError("not an array of one dimension without nulls")
    number = np.dtype(_TYPES[int(type_)])
    element = np.dtype([("width", ">i4"), ("value", number.newbyteorder(">"))])
    column: Numbers = np.frombuffer(data, element, offset=_HEADER, count=length)["value"]
    return column.astype(number)
