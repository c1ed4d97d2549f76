from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tsobs.jobs.quantities import mebibytes, percent, ratio_of, seconds_between, total, whole

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_null_stays_null() -> None:
    assert percent(None) is None
    assert mebibytes(None) is None
    assert whole(None) is None
    assert total(None, None) is None
    assert seconds_between(None, NOON) is None
    assert seconds_between(NOON, None) is None
    assert ratio_of(None, 1.0) is None
    assert ratio_of(1.0, None) is None


def test_zero_is_a_value() -> None:
    assert percent(0.0) == 0.0
    assert mebibytes(0) == 0
    assert total(0.0, None) == 0.0
    assert ratio_of(0.0, 4.0) == 0.0


def test_nothing_is_divided_by_zero() -> None:
    assert ratio_of(1.0, 0.0) is None


def test_units() -> None:
    assert percent(0.25) == 25.0
    assert mebibytes(3 * 1_048_576 + 1) == 3
    assert total(1.0, 2.0) == 3.0
    assert seconds_between(NOON, NOON + timedelta(minutes=1)) == 60.0
    assert seconds_between(NOON, NOON - timedelta(minutes=1)) == 0.0


def test_a_count_has_no_point_and_a_fraction_stays_one() -> None:
    assert repr(whole(8.0)) == "8"
    assert repr(whole(0.5)) == "0.5"
