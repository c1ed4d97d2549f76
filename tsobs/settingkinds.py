"""What a setting may be: each kind reads text or a TOML value, or says the rule that was broken."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Kind", "choice", "integer", "number", "switch", "text"]


class Kind(NamedTuple):
    """One type of value: the rule in words, a parser that raises ValueError, and its name."""

    name: str
    rule: str
    parse: Callable[[object], Any]


def text(name: str, rule: str, pattern: str) -> Kind:
    """Text that matches a pattern as a whole."""
    compiled = re.compile(pattern)

    def parse(value: object) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value.strip()):
            raise ValueError(rule)
        return value.strip()

    return Kind(name, rule, parse)


def integer(low: int, high: int) -> Kind:
    """A whole number from `low` to `high`."""
    rule = f"must be a whole number from {low} to {high}"

    def parse(value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(rule)
        return value

    return Kind("integer", rule, parse)


def number(low: float, high: float) -> Kind:
    """A finite number from `low` to `high`."""
    rule = f"must be a number from {low:g} to {high:g}"

    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError(rule)
        try:
            parsed = float(value)
        except ValueError:
            raise ValueError(rule) from None
        if not math.isfinite(parsed) or not low <= parsed <= high:
            raise ValueError(rule)
        return parsed

    return Kind("number", rule, parse)


def choice(*values: str) -> Kind:
    """One of a few words, in any case."""
    rule = f"must be one of {', '.join(values)}"

    def parse(value: object) -> str:
        word = value.strip().lower() if isinstance(value, str) else ""
        if word not in values:
            raise ValueError(rule)
        return word

    return Kind("|".join(values), rule, parse)


_WORDS = {"true": True, "yes": True, "on": True, "1": True}
_WORDS |= {"false": False, "no": False, "off": False, "0": False}


def switch() -> Kind:
    """True or false."""
    rule = "must be true or false"

    def parse(value: object) -> bool:
        if isinstance(value, str):
            value = _WORDS.get(value.strip().lower())
        if not isinstance(value, bool):
            raise ValueError(rule)
        return value

    return Kind("switch", rule, parse)
