"""Arithmetic in which null means not known, and the units of the older API."""

from __future__ import annotations

from datetime import datetime

__all__ = ["mebibytes", "percent", "ratio_of", "seconds_between", "total", "whole"]

MEBIBYTE = 1_048_576


def percent(ratio: float | None) -> float | None:
    """A ratio as percent; what came as percent comes out as it came, not 7.000000000000001."""
    return None if ratio is None else round(ratio * 100.0, 10)


def mebibytes(size: float | None) -> int | None:
    """Bytes as whole MiB, as the older API has them."""
    return None if size is None else round(size / MEBIBYTE)


def ratio_of(part: float | None, whole: float | None) -> float | None:
    """part / whole where both are known and there is something to divide by."""
    return part / whole if part is not None and whole else None


def total(*values: float | None) -> float | None:
    """The sum of what is known; None when nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """Time from start to end, never negative; None when one is unknown."""
    return None if start is None or end is None else max((end - start).total_seconds(), 0.0)


def whole(number: float | None) -> int | float | None:
    """A count without its decimal point; a fraction stays one."""
    return int(number) if number is not None and number == int(number) else number
