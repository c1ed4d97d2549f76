"""Reads a large batch's JSON with its columns of numbers as arrays, without an object a value.

A verified short cut: what it does not take, or takes for doubtful, goes the whole way through
`parse_json`, and both give the same batch or the same refusal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import simdjson

from ingest.jsontext import check_values, parse_json

__all__ = ["parse_columns"]

# Below this the whole way is as fast; past the other there is more text than numbers, for which
# this parser sets aside several times its size.
LARGE_BYTES = 32 << 10
HUGE_BYTES = 8 << 20
# Columns of these names hold indexes, which must not pass for numbers.
_INDEXES = frozenset({"job", "gpu"})


class _Doubtful(Exception):
    """The short cut cannot tell; the whole way can."""


def parse_columns(text: bytes) -> Any:
    """JSON to objects as `parse_json` and with its errors; but in a large body, a column of
    `tables` that is all numbers is a float64 array."""
    if not LARGE_BYTES <= len(text) < HUGE_BYTES:
        return parse_json(text)
    check_values(text)
    try:
        return _read(text)
    except (_Doubtful, KeyError, ValueError, TypeError, RuntimeError):
        return parse_json(text)


def _read(text: bytes) -> dict[str, Any]:
    document = _object(simdjson.Parser().parse(text))
    top = {name: _plain(document[name]) for name in _names(document) if name != "tables"}
    rest: list[Any] = [*top.values()]
    lists = 0
    tables: dict[str, Any] = {}
    given = _object(document["tables"])
    for name in _names(given):
        arrays, others = _columns(_object(given[name]))
        tables[name] = arrays | others
        rest += others.values()
        lists += len(arrays)
    # A list within a column is flattened above, so each list that is there must be one we met.
    met = orjson.dumps(rest).count(b"[") - 1 + lists
    if text.count(b"[") != met:
        raise _Doubtful
    return {**top, "tables": tables}


def _columns(table: simdjson.Object) -> tuple[dict[str, Any], dict[str, Any]]:
    """A table's columns: those that became arrays, and all others."""
    arrays: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for name in _names(table):
        value = table[name]
        if isinstance(value, simdjson.Array) and name not in _INDEXES:
            try:
                arrays[name] = np.frombuffer(value.as_buffer(of_type="d"))
                continue
            except (TypeError, ValueError):  # a null, or what is no number
                pass
        others[name] = _plain(value)
    return arrays, others


def _object(value: Any) -> simdjson.Object:
    if not isinstance(value, simdjson.Object):
        raise _Doubtful
    return value


def _names(value: simdjson.Object) -> list[str]:
    """An object's names. Of two that are equal the last counts, and a look-up gives the first."""
    names = list(value.keys())
    if len(set(names)) != len(names):
        raise _Doubtful
    return names


def _plain(value: Any) -> Any:
    if isinstance(value, simdjson.Array):
        return value.as_list()
    return value.as_dict() if isinstance(value, simdjson.Object) else value
