"""Reads the fields of a small JSON object by a declared table, so that each refusal names field
and rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tsobs.errors import ValidationError

__all__ = ["Field", "read_fields"]

MAX_TEXT = 1_024
# What identifies is indexed, and an index entry has its limits.
MAX_NAME = 255
MAX_WORD = 64
MAX_ITEMS = 100_000
MIB = 1 << 20
MAX_MEBIBYTES = 10**12


class Field(NamedTuple):
    """One field: its name in JSON, the column it fills (None: none by itself) and its kind."""

    name: str
    column: str | None
    kind: str
    required: bool = False


def read_fields(body: Mapping[str, Any], fields: Sequence[Field]) -> dict[str, Any]:
    """Checked values by field name; absent and null ones are left out. Raises ValidationError."""
    values: dict[str, Any] = {}
    for field in fields:
        value = body.get(field.name)
        if value is None or value == "":
            if field.required:
                raise ValidationError(
                    f"{field.name} is required", field=field.name, rule="required"
                )
            continue
        read, rule = _KINDS[field.kind]
        try:
            values[field.name] = read(value)
        except (ValueError, OverflowError) as error:
            raise ValidationError(
                f"{field.name} must be {rule}", field=field.name, rule=rule
            ) from error
    return values


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT or "\x00" in value:
        raise ValueError
    return value


def _short(most: int) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        text = _text(value)
        if len(text) > most:
            raise ValueError
        return text

    return read


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        raise ValueError
    return sorted({_short(MAX_NAME)(item) for item in value if item != ""})


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value <= 1e15:
        raise ValueError
    return float(value)


def _integer(value: Any) -> int:
    if type(value) is not int or not -(2**31) <= value < 2**31:
        raise ValueError
    return value


def _count(value: Any) -> int:
    if _integer(value) < 0:
        raise ValueError
    return int(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _mebibytes(value: Any) -> int:
    # The seeds' MB are MiB.
    number = _number(value)
    if number > MAX_MEBIBYTES:
        raise ValueError
    return int(number * MIB)


def _time(value: Any) -> datetime:
    if not isinstance(value, str) or len(value) > 64:
        raise ValueError
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None or not 1970 <= moment.year < 2200:
        raise ValueError
    return moment.astimezone(UTC)


_KINDS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "text": (_text, f"a text of at most {MAX_TEXT} characters without null"),
    "name": (_short(MAX_NAME), f"a text of at most {MAX_NAME} characters without null"),
    "word": (_short(MAX_WORD), f"a text of at most {MAX_WORD} characters without null"),
    "texts": (_texts, f"a list of texts of at most {MAX_NAME} characters"),
    "number": (_number, "a number from 0 to 1e15"),
    "integer": (_integer, "an integer of 32 bits"),
    "count": (_count, "an integer of at least 0"),
    "boolean": (_boolean, "true or false"),
    "mebibytes": (_mebibytes, "a number of MiB from 0 to 1e12"),
    "time": (_time, "an RFC 3339 time with its zone"),
}
