from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from query.series_api import Span, choose_step

START = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("length_s", "interval_s", "limit", "step_s"),
    [
        (60, 15.0, 1000, 15),  # no shorter than the samples
        (60, 1.0, 1000, 1),
        (60, 7.0, 1000, 10),
        (3600, 15.0, 1000, 15),
        (86_400, 15.0, 1000, 120),
        (7 * 86_400, 15.0, 1000, 900),
        (7 * 86_400, 15.0, 10, 86_400),
        (30 * 86_400, 15.0, 1, 30 * 86_400),
        (0, None, 1000, 1),
    ],
)
def test_choose_step(length_s: int, interval_s: float | None, limit: int, step_s: int) -> None:
    span = Span(START, START + timedelta(seconds=length_s), START)
    assert choose_step(span, interval_s, limit) == step_s
