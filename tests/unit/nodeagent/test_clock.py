"""Stamps lie on the grid; a late reading has its own time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeagent.clock import Instant, grid, now, stamp


def test_both_clocks_run() -> None:
    first, second = now(), now()
    assert second.boot >= first.boot > 0
    assert second.wall == pytest.approx(time.time(), abs=5)


@given(st.floats(1e9, 4e9), st.sampled_from([0.2, 1.0, 15.0, 60.0]))
def test_the_grid_point_is_the_last_multiple(wall: float, interval_s: float) -> None:
    point = grid(wall, interval_s)
    assert -0.001 <= wall - point < interval_s + 0.001
    assert round(point / interval_s) == pytest.approx(point / interval_s, abs=1e-5)


@pytest.mark.parametrize(
    ("wall", "stamped"),
    [(1500.0, 1500.0), (1500.9, 1500.0), (1501.2, 1501.2), (1514.9994, 1514.999)],
)
def test_a_reading_on_time_gets_the_grid_point_and_a_late_one_its_own(
    wall: float, stamped: float
) -> None:
    assert stamp(Instant(wall, 0.0), 15.0) == stamped


def test_a_short_interval_allows_half_of_itself() -> None:
    assert stamp(Instant(1000.09, 0.0), 0.2) == 1000.0
    assert stamp(Instant(1000.15, 0.0), 0.2) == 1000.15
