from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsobs.demo.simulation.window import Window, cut_times, next_window

NOW = 1_700_000_007.5
HOUR = 3600
DAY = 24 * HOUR


@given(
    start=st.integers(0, 2_000_000_000),
    length=st.integers(1, 20_000),
    step=st.sampled_from([15, 60, 300]),
)
def test_intervals_tile_the_span_on_the_grid(start: int, length: int, step: int) -> None:
    times = cut_times(start, start + length, step)
    edges = np.concatenate(([start], times))
    assert (np.diff(edges) > 0).all()
    assert np.diff(edges).max() <= step
    assert times[-1] == start + length
    assert all(time % step == 0 for time in times[:-1])


def windows(sent_until: int, now: float = NOW, gap: int = DAY + 600) -> list[Window]:
    found: list[Window] = []
    while window := next_window(sent_until, now, longest_gap_s=gap):
        assert window.until > sent_until
        assert window.until <= now
        found.append(window)
        sent_until = window.until
    return found


def test_a_day_of_history_is_done_by_the_hour_and_ends_now() -> None:
    found = windows(int(NOW - DAY) // 60 * 60)
    kinds = [window.kind for window in found]
    assert kinds[:24] == ["history"] * 24
    assert {window.step_s for window in found if window.kind == "history"} == {60}
    assert NOW - found[-1].until < 15


def test_what_is_nearly_now_is_sampled_as_now() -> None:
    assert windows(int(NOW) - 100 - int(NOW) % 15) == [Window(1_700_000_000 // 15 * 15, 15, "live")]
    assert windows(1_700_000_000 // 15 * 15) == []


def test_a_clock_that_went_back_is_waited_for() -> None:
    assert next_window(int(NOW) + 5000, NOW, longest_gap_s=DAY) is None


def test_too_long_a_pause_is_a_power_cut_up_to_what_is_filled() -> None:
    found = windows(int(NOW) - 3 * DAY, gap=6 * HOUR)
    assert found[0].kind == "cut"
    assert NOW - found[0].until == pytest.approx(6 * HOUR, abs=60)
    assert all(window.kind != "cut" for window in found[1:])
    assert NOW - found[-1].until < 15


@given(
    behind=st.integers(0, 5 * DAY),
    gap=st.integers(0, 2 * DAY),
    now=st.floats(1_700_000_000, 1_700_100_000),
)
def test_it_always_comes_to_now(behind: int, gap: int, now: float) -> None:
    sent_until = int(now - behind) // 15 * 15
    found = windows(sent_until, now, gap)
    assert now - (found[-1].until if found else sent_until) < 15
    assert len(found) < 100


def test_a_window_survives_json() -> None:
    window = Window(1_700_000_000, 60, "history")
    assert Window.from_json(json.loads(json.dumps(window.to_json()))) == window
