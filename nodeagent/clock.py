"""Two clocks read together: wall time for stamps, time since boot for intervals; and the grid of
rounds."""

from __future__ import annotations

import math
import time
from typing import NamedTuple

__all__ = ["CLOCK_TOLERANCE_S", "Instant", "grid", "now", "stamp"]

CLOCK_TOLERANCE_S = 60.0
"""A clock this far from the service's is told to people and to the service."""

# A round that starts later than this after its grid point is stamped with its own time.
_ON_TIME_S = 1.0


class Instant(NamedTuple):
    """One moment: `wall` in unix seconds (may jump), `boot` in seconds since boot (never jumps)."""

    wall: float
    boot: float


def now() -> Instant:
    """Read both clocks; CLOCK_BOOTTIME goes on counting while the machine is suspended."""
    return Instant(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME))


def grid(wall: float, interval_s: float) -> float:
    """Return the last multiple of the interval at or before a wall time, unix seconds."""
    return round(math.floor(wall / interval_s) * interval_s, 3)


def stamp(at: Instant, interval_s: float) -> float:
    """Return the time to write on what was read at this moment: its grid point, or its own time
    when late."""
    point = grid(at.wall, interval_s)
    if at.wall - point <= min(_ON_TIME_S, interval_s / 2):
        return point
    return round(at.wall, 3)
