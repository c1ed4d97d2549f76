"""JSON texts from strangers, read within bounds."""

from __future__ import annotations

import json
from typing import Any

import orjson

from tsobs.errors import InvalidRequest, TooLarge

__all__ = ["check_values", "parse_json"]

# A parsed value takes up to a hundred times its text. The largest batch has a tenth less.
MAX_VALUES = 1_000_000
MAX_CONTAINERS = 10_000


def check_values(text: bytes) -> None:
    """Raises TooLarge for a text with more values than any batch has."""
    # Before parsing, for it would be too late after; a comma in a text counts, too.
    if text.count(b",") >= MAX_VALUES or text.count(b"[") + text.count(b"{") > MAX_CONTAINERS:
        raise TooLarge(
            f"the body holds more than {MAX_VALUES} values or {MAX_CONTAINERS} lists and objects",
            field="body",
            rule=f"at most {MAX_VALUES} values, {MAX_CONTAINERS} lists and objects",
        )


def parse_json(text: bytes) -> Any:
    """JSON to objects. NaN and infinities, which are not JSON, become infinity: a row rule then
    refuses the row and not the whole body. Raises InvalidRequest, and TooLarge as
    `check_values`."""
    check_values(text)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        problem = str(error)
    if not any(word in text for word in (b"NaN", b"Infinity", b"e", b"E")):
        raise _not_json(problem)
    try:
        # Decoded here, strictly: the parser would take UTF-16 and lone surrogates too.
        found = json.loads(text.decode(), parse_constant=_infinity, parse_int=_integer)
        # An escaped lone surrogate passes this parser, and nothing behind it.
        orjson.dumps(found)
    except (ValueError, RecursionError, TypeError) as error:
        raise _not_json(problem) from error
    return found


def _infinity(_: str) -> float:
    return float("inf")


def _integer(digits: str) -> int | float:
    """As the first parser: an integer of 64 bits, else a float."""
    # int() of a million digits would take minutes (Python refuses past 4,300).
    number = int(digits) if len(digits) <= 20 else float(digits)
    return number if -(2**63) <= number < 2**64 else float(number)


def _not_json(problem: str) -> InvalidRequest:
    return InvalidRequest("Invalid JSON body", field="body", rule="JSON in UTF-8", problem=problem)
