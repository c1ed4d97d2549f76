"""When to do what: a round at each point of the wall-clock grid, a look at the jobs each second
between."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from functools import partial

from nodeagent import clock
from nodeagent.clock import Instant
from nodeagent.rounds import Rounds
from nodeagent.watch import Watch

__all__ = ["Loop", "Schedule"]

logger = logging.getLogger(__name__)

_TICK_S = 1.0
# Less is the clock being trimmed; more is the clock being set.
_STEP_BACK_S = 1.0


class Schedule:
    """Says when rounds and ticks are due, whatever the wall clock does."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._slot: int | None = None
        self._wall = 0.0

    def start(self, at: Instant) -> None:
        """Take the slot at this moment as done."""
        self._slot = self._slot_of(at)
        self._wall = at.wall

    def round_is_due(self, at: Instant) -> bool:
        """Tell whether a new slot of the grid has begun since the last round, or the clock was set
        back."""
        slot = self._slot_of(at)
        set_back = at.wall < self._wall - _STEP_BACK_S
        if set_back:
            logger.warning("the clock went back by %.1f s", self._wall - at.wall)
        self._wall = at.wall
        if self._slot is not None and slot <= self._slot and not set_back:
            return False
        self._slot = slot
        return True

    def wait_s(self, at: Instant) -> float:
        """Return the seconds to the next second or grid point, whichever comes first."""
        to_tick = _TICK_S - math.fmod(at.wall, _TICK_S)
        to_round = self._interval_s - math.fmod(at.wall, self._interval_s)
        return max(0.001, min(to_tick, to_round))

    def _slot_of(self, at: Instant) -> int:
        return math.floor(at.wall / self._interval_s)


class Loop:
    """Runs until stopped; a failure in a look or a round is logged, and the next one comes."""

    def __init__(
        self,
        rounds: Rounds,
        interval_s: float,
        watch: Watch,
        now: Callable[[], Instant] = clock.now,
    ) -> None:
        self._rounds = rounds
        self._schedule = Schedule(interval_s)
        self._watch = watch
        self._now = now
        self._stopping = False

    def stop(self) -> None:
        """End the loop soon; may be called from a signal handler, and again."""
        self._stopping = True
        self._watch.wake()

    def run(self, *, round_first: bool) -> None:
        """Run until stopped, then do a last round; `round_first` begins with a round, without a
        wait for the grid."""
        if not round_first:
            self._schedule.start(self._now())
        while not self._stopping:
            if self._schedule.round_is_due(self._now()):
                self._attempt(self._rounds.round)
            else:
                self._attempt(self._rounds.tick)
            self._sleep()
        self._attempt(self._rounds.round)

    def _sleep(self) -> None:
        end = time.monotonic() + self._schedule.wait_s(self._now())
        heard: set[str] = set()
        while not self._stopping and (left := end - time.monotonic()) > 0:
            handles = {h: job for h, job in self._rounds.jobs.handles().items() if job not in heard}
            told = self._watch.wait(left, handles)
            # Once a job and second: a job at its limit makes an event of every reclaim.
            heard |= told
            if told:
                self._attempt(partial(self._rounds.glance, told))

    @staticmethod
    def _attempt(step: Callable[[], None]) -> None:
        start = time.perf_counter()
        try:
            step()
        except Exception:
            logger.exception("a round failed")
        logger.debug(
            "%s took %.1f ms",
            getattr(step, "__name__", "look"),
            (time.perf_counter() - start) * 1e3,
        )
