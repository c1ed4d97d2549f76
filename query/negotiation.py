"""Which form of a page a client wants: its Accept and Accept-Encoding headers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["OPENMETRICS", "TEXT", "accepts_gzip", "choose_format"]

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_OPENMETRICS_VERSIONS = ("", "1.0.0")
_TEXT_VERSIONS = ("", "0.0.4")
# More specific ranges first, as HTTP has it.
_TEXT_RANGES = ("text/plain", "text/*", "*/*")
_WEIGHT = re.compile(r"(0(\.[0-9]{0,3})?|1(\.0{0,3})?)")


class _Wanted(NamedTuple):
    name: str
    version: str
    weight: float


def choose_format(accept: str) -> str:
    """The content type to answer with: OpenMetrics only to who names it and does not rather have
    text; text to everyone else, whatever is asked for."""
    wanted = list(_parse(accept))
    openmetrics = [
        each.weight
        for each in wanted
        if each.name == "application/openmetrics-text" and each.version in _OPENMETRICS_VERSIONS
    ]
    weight = max(openmetrics, default=0.0)
    return OPENMETRICS if weight > 0 and weight >= _text_weight(wanted) else TEXT


def _text_weight(wanted: list[_Wanted]) -> float:
    for name in _TEXT_RANGES:
        weights = [
            each.weight for each in wanted if each.name == name and each.version in _TEXT_VERSIONS
        ]
        if weights:
            return max(weights)
    return 0.0


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header names gzip and does not refuse it (q=0)."""
    return any(each.name == "gzip" and each.weight > 0 for each in _parse(accept_encoding))


def _parse(header: str) -> Iterator[_Wanted]:
    for part in header.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        given = {}
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            given[key.strip()] = value.strip().strip('"')
        weight = given.get("q", "1")
        # Who writes nonsense for a weight is not understood to want it less.
        yield _Wanted(
            name, given.get("version", ""), float(weight) if _WEIGHT.fullmatch(weight) else 1.0
        )
