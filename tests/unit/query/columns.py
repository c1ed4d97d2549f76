"""Tables and statements' answers of a few rows, for the tests."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from query.table import Table

_FORMS = {float: (701, ">d", 8), int: (20, ">q", 8)}


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Rows as columns: texts where the first row has a text, None as NaN elsewhere."""
    names = list(rows[0]) if rows else []
    texts = {n: [row[n] for row in rows] for n in names if isinstance(rows[0][n], str)}
    numbers = {
        n: np.array([np.nan if row[n] is None else row[n] for row in rows])
        for n in names
        if n not in texts
    }
    return Table(len(rows), texts, numbers)


def sent(values: Sequence[float | None]) -> bytes:
    """An array of numbers in PostgreSQL's binary format."""
    kind = int if any(isinstance(value, int) for value in values) else float
    type_, form, width = _FORMS[kind]
    has_nulls = any(value is None for value in values)
    data = struct.pack(">5i", 1, has_nulls, type_, len(values), 1)
    for value in values:
        data += struct.pack(">i", -1 if value is None else width)
        data += b"" if value is None else struct.pack(form, value)
    return data


def answer(**columns: Sequence[Any]) -> dict[str, Any]:
    """What a statement gives: one row with an array or a JSON list a column."""
    return {
        name: (json.dumps(values) if isinstance(values[0], str) else sent(values))
        if values
        else None
        for name, values in columns.items()
    }
