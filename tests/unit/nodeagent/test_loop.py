"""When rounds and looks are due, whatever the clocks do."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeagent.clock import Instant
from nodeagent.loop import Loop, Schedule
from nodeagent.watch import Watch


def due(walls: list[float], interval_s: float = 15.0, start: float | None = None) -> list[bool]:
    schedule = Schedule(interval_s)
    if start is not None:
        schedule.start(Instant(start, 0.0))
    return [schedule.round_is_due(Instant(wall, 0.0)) for wall in walls]


def test_a_round_at_each_grid_point() -> None:
    assert due([7.0, 8.0, 15.001, 16.0, 30.0, 30.5]) == [True, False, True, False, True, False]
    assert due([8.0, 15.0], start=7.0) == [False, True]


def test_missed_grid_points_are_one_round() -> None:
    assert due([15.0, 70.0, 71.0]) == [True, True, False]


def test_a_clock_trimmed_back_over_a_grid_point_makes_no_second_round() -> None:
    assert due([15.0, 14.99, 15.9]) == [True, False, False]


def test_a_clock_set_back_makes_one_round_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    assert due([3600.0, 1000.0, 1001.0, 1005.0]) == [True, True, False, True]
    assert "went back by 2600.0 s" in caplog.text


@given(st.floats(0, 4e9), st.sampled_from([0.2, 1.0, 15.0, 60.0]))
def test_a_wait_is_short_and_ends_at_a_second_or_grid_point(wall: float, interval_s: float) -> None:
    wait = Schedule(interval_s).wait_s(Instant(wall, 0.0))
    assert 0 < wait <= min(1.0, interval_s)


class Notes:
    """Rounds that only note what they are told to do."""

    def __init__(self, stop_after: int) -> None:
        self.done: list[str] = []
        self.loop: Loop | None = None
        self.stop_after = stop_after

    def handles(self) -> tuple[dict[int, str], dict[int, str]]:
        return {}, {}

    def quick_s(self) -> float | None:
        return None

    def tick(self) -> None:
        self._note("tick")

    def round(self) -> None:
        self._note("round")

    def _note(self, what: str) -> None:
        self.done.append(what)
        if len(self.done) == self.stop_after and self.loop is not None:
            self.loop.stop()
        if len(self.done) == 2:
            raise RuntimeError("a bad round")


@pytest.mark.parametrize("round_first", [True, False])
def test_the_loop_survives_a_bad_round_and_ends_with_a_last_one(
    round_first: bool, caplog: pytest.LogCaptureFixture
) -> None:
    rounds: Any = Notes(5)
    watch = Watch()
    rounds.loop = loop = Loop(rounds, 0.05, watch)
    loop.run(round_first=round_first)
    assert rounds.done[0] == ("round" if round_first else "tick")
    assert rounds.done[-1] == "round"
    assert len(rounds.done) == 6
    assert "a round failed" in caplog.text
    watch.close()


def test_stopping_from_elsewhere_ends_a_wait() -> None:
    rounds: Any = Notes(10**9)
    watch = Watch()
    loop = Loop(rounds, 3600.0, watch)
    timer = threading.Timer(0.05, loop.stop)
    timer.start()
    loop.run(round_first=True)
    loop.stop()
    timer.join()
    watch.close()


@pytest.mark.parametrize(("which", "most"), [(0, 3), (1, 75)])
def test_a_job_that_reports_without_end_is_glanced_at_so_often_a_second(
    which: int, most: int
) -> None:
    glances = []

    class Reporting(Notes):
        def handles(self) -> tuple[dict[int, str], dict[int, str]]:
            return ({1000: "5"}, {}) if which == 0 else ({}, {1000: "5"})

        def glance(self, names: set[str]) -> None:
            glances.append(names)

    class Reports(Watch):
        def wait(self, timeout_s: float, files: Any, readable: Any = ()) -> set[int]:
            if files or readable:
                return {1000}
            return super().wait(timeout_s, {})

    rounds: Any = Reporting(1)
    watch = Reports()
    loop = Loop(rounds, 0.2, watch)
    timer = threading.Timer(0.1, loop.stop)
    rounds.stop_after = 10**9
    timer.start()
    loop.run(round_first=True)
    timer.join()
    assert most / 3 <= len(glances) <= most
    assert glances[0] == {"5"}
    watch.close()
