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
from nodeagent.voices import Voices
from nodeagent.watch import Watch

__all__ = ["Loop", "Schedule"]

logger = logging.getLogger(__name__)

_TICK_S = 1.0
# In a second a file is listened to once (a job at its limit makes an event of every reclaim), the
# rest so often (an array starts, a script runs a thousand steps).
_FILE_NEWS, _OTHER_NEWS = 1, 25
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
        rounds: Voices,
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
        heard: dict[int, int] = {}
        while not self._stopping and (left := end - time.monotonic()) > 0:
            watched = self._rounds.handles()
            files, readable = (
                {handle: name for handle, name in found.items() if heard.get(handle, 0) < most}
                for found, most in zip(watched, (_FILE_NEWS, _OTHER_NEWS))
            )
            quick_s = self._rounds.quick_s()
            told = self._watch.wait(min(left, quick_s or left), files, readable)
            for handle in told:
                heard[handle] = heard.get(handle, 0) + 1
            if told:
                names = {files.get(handle) or readable[handle] for handle in told}
                self._attempt(partial(self._rounds.glance, names))
            elif quick_s:
                self._attempt(self._rounds.look_quickly)

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
