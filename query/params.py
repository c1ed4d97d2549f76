"""Query parameters: read once, checked, and refused by name and rule."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime

from multidict import MultiMapping

from tsobs.errors import InvalidRequest

__all__ = ["Params"]

MAX_TEXT = 255
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
# A '+' that was not escaped arrives as a blank.
_BLANK_OFFSET = re.compile(r" (?=[0-9]{2}:?[0-9]{2}$)")


class Params:
    """The parameters of one request; one that nobody knows is refused, since it would be a typing
    error."""

    def __init__(self, query: MultiMapping[str], known: Collection[str]) -> None:
        for name in query:
            if name not in known:
                raise _refused(name, f"is not a parameter here; these are: {', '.join(known)}")
            if len(query.getall(name)) > 1:
                raise _refused(name, f"expected one value, got {len(query.getall(name))}")
        self._query = query

    def text(self, name: str) -> str | None:
        """A name to compare with; None when absent or empty."""
        value = self._query.get(name)
        if not value:
            return None
        if len(value) > MAX_TEXT or _CONTROL.search(value):
            raise _refused(name, f"must be 1 to {MAX_TEXT} printable characters")
        return value

    def choice(self, name: str, options: Collection[str]) -> str | None:
        """One of a list; None when absent or empty."""
        value = self._query.get(name)
        if not value:
            return None
        if value not in options:
            raise _refused(name, f"must be one of {', '.join(options)}")
        return value

    def integer(self, name: str, low: int, high: int | None = None) -> int | None:
        """A whole number within bounds; None when absent or empty."""
        value = self._query.get(name)
        if not value:
            return None
        rule = f"must be a whole number from {low}" + ("" if high is None else f" to {high}")
        if not _INTEGER.fullmatch(value):
            raise _refused(name, rule)
        number = int(value)
        if number < low or (high is not None and number > high):
            raise _refused(name, rule)
        return number

    def time(self, name: str) -> datetime | None:
        """A time with its offset, as RFC 3339 writes it; None when absent or empty."""
        value = self._query.get(name)
        if not value:
            return None
        try:
            moment = datetime.fromisoformat(_BLANK_OFFSET.sub("+", value))
            if moment.tzinfo is not None:
                return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        raise _refused(name, "must be a time with offset, such as 2026-01-31T12:00:00Z")


def _refused(name: str, rule: str) -> InvalidRequest:
    return InvalidRequest(f"parameter {name} {rule}", parameter=name, rule=rule)
