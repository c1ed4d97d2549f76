"""Spans of time that are simulated and sent as one, and the grid of sample times inside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["LIVE_STEP_S", "Times", "Window", "cut_times", "next_window"]

Times = npt.NDArray[np.float64]

LIVE_STEP_S = 15
_HISTORY_STEP_S = 60
# What is further behind than this is history.
_LIVE_LAG_S = 600
_HISTORY_WINDOW_S = 3600


class Window(NamedTuple):
    """The span that ends at `until` (unix seconds), with a sample every `step_s`; `cut` means that
    the nodes were without power all the while."""

    until: int
    step_s: int
    kind: Literal["live", "history", "cut"]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return self._asdict()

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Window:
        """The window behind `to_json`."""
        return cls(**stored)


def next_window(sent_until: int, now: float, *, longest_gap_s: int) -> Window | None:
    """The window to do next, None when its time has not come.

    `sent_until` is the end of the last one. A gap longer than `longest_gap_s` is a power cut up to
    the part that is filled.
    """
    lag_s = now - sent_until
    if lag_s > longest_gap_s + _HISTORY_STEP_S:
        return Window(_floor(now - longest_gap_s, _HISTORY_STEP_S), _HISTORY_STEP_S, "cut")
    if lag_s < _LIVE_LAG_S:
        until = _floor(now, LIVE_STEP_S)
        return Window(until, LIVE_STEP_S, "live") if until > sent_until else None
    until = _floor(min(sent_until + _HISTORY_WINDOW_S, now), _HISTORY_STEP_S)
    return Window(until, _HISTORY_STEP_S, "history")


def _floor(moment: float, step_s: int) -> int:
    return int(moment // step_s) * step_s


def cut_times(start: float, end: float, step_s: int) -> Times:
    """The ends of the intervals that tile (start, end]: the multiples of the step between, and
    `end`."""
    first = (start // step_s + 1) * step_s
    return np.append(np.arange(first, end, step_s, dtype=np.float64), float(end))
