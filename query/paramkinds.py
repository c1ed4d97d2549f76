"""What a query parameter may be: each kind reads text or says the rule that it breaks, and knows
the same as a JSON schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any, NamedTuple

__all__ = ["ParamKind", "choice", "integer", "names", "text", "time"]

MAX_TEXT = 255
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
# A '+' that was not escaped arrives as a blank.
_BLANK_OFFSET = re.compile(r" (?=[0-9]{2}:?[0-9]{2}$)")
_TIME_RULE = "must be a time with offset, such as 2026-01-31T12:00:00Z"


class ParamKind(NamedTuple):
    """`read` raises ValueError with the rule; `schema` describes what it takes."""

    read: Callable[[str], Any]
    schema: dict[str, Any]


def text(most: int = MAX_TEXT) -> ParamKind:
    """A name to compare with."""

    def read(value: str) -> str:
        if len(value) > most or _CONTROL.search(value):
            raise ValueError(f"must be 1 to {most} printable characters")
        return value

    pattern = r"^[^\u0000-\u001f\u007f]*$"
    return ParamKind(read, {"type": "string", "maxLength": most, "pattern": pattern})


def choice(options: Collection[str]) -> ParamKind:
    """One of a list."""

    def read(value: str) -> str:
        if value not in options:
            raise ValueError(f"must be one of {', '.join(options)}")
        return value

    return ParamKind(read, {"type": "string", "enum": list(options)})


def names(options: Collection[str]) -> ParamKind:
    """Some of a list, with commas between; a tuple in the order of the list."""

    def read(value: str) -> tuple[str, ...]:
        given = value.split(",")
        if unknown := [name for name in given if name not in options]:
            raise ValueError(f"must be some of {', '.join(options)}: {unknown[0][:99]!r} is none")
        return tuple(name for name in options if name in given)

    items = {"type": "string", "enum": list(options)}
    return ParamKind(read, {"type": "array", "items": items, "minItems": 1})


def integer(low: int, high: int, default: int | None = None) -> ParamKind:
    """A whole number within bounds."""

    def read(value: str) -> int:
        if not _INTEGER.fullmatch(value) or not low <= int(value) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(value)

    schema = {"type": "integer", "minimum": low, "maximum": high}
    return ParamKind(read, schema if default is None else schema | {"default": default})


def time() -> ParamKind:
    """A time with its offset, as RFC 3339 writes it."""

    def read(value: str) -> datetime:
        try:
            moment = datetime.fromisoformat(_BLANK_OFFSET.sub("+", value))
            if moment.tzinfo is not None:
                return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        raise ValueError(_TIME_RULE)

    return ParamKind(read, {"type": "string", "format": "date-time"})
