"""Where a page of jobs ended: a text that only this service reads."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import NamedTuple

import orjson

__all__ = ["Cursor", "read_cursor", "write_cursor"]

RULE = "must be the next_cursor of an answer with the same sort"
MAX_KEY = 2**63 - 1


class Cursor(NamedTuple):
    """The last row of a page: its key, and the value it was sorted by, as text (None: unknown)."""

    sort: str
    key: int
    value: str | None


def write_cursor(cursor: Cursor) -> str:
    """The text for `next_cursor`."""
    return base64.urlsafe_b64encode(orjson.dumps(cursor[:])).decode().rstrip("=")


def read_cursor(text: str, sort: str, *, is_time: bool) -> Cursor:
    """What `write_cursor` wrote for this sort; raises ValueError with the rule."""
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        kind, key, value = orjson.loads(packed)
        fits = kind == sort and type(key) is int and 0 < key <= MAX_KEY
        if value is not None:
            fits = fits and isinstance(value, str) and "\x00" not in value
            if is_time:
                fits = fits and datetime.fromisoformat(value).tzinfo is not None
        if fits:
            return Cursor(sort, key, value)
    except (binascii.Error, ValueError, TypeError):
        pass
    raise ValueError(RULE)
