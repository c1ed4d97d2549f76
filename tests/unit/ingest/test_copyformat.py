from __future__ import annotations

import math
import struct
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.copyformat import Key, encode, timestamps
from tests.unit.ingest.copyreader import float8, int4, int8, read_copy, unix_s

FLOATS = st.none() | st.floats(allow_nan=False)
INT4 = st.integers(-(2**31), 2**31 - 1)
INT8 = st.integers(-(2**63), 2**63 - 1)


def bits(value: float | None) -> bytes | None:
    """So that −0.0 is not 0.0."""
    return None if value is None else struct.pack(">d", value)


@given(st.data())
def test_any_rows_are_read_back(data: st.DataObject) -> None:
    rows, columns = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 5))
    small = data.draw(st.lists(INT4, min_size=rows, max_size=rows))
    large = data.draw(st.lists(st.none() | INT8, min_size=rows, max_size=rows))
    values = [data.draw(st.lists(FLOATS, min_size=rows, max_size=rows)) for _ in range(columns)]
    keys = [
        Key(np.array(small, np.int32)),
        Key(
            np.array([number or 0 for number in large], np.int64),
            np.array([number is None for number in large]),
        ),
    ]
    found = read_copy(encode(keys, np.array(values, np.float64)))
    assert [int4(fields[0]) for fields in found] == small
    assert [int8(fields[1]) for fields in found] == large
    for n, column in enumerate(values):
        assert [fields[2 + n] for fields in found] == list(map(bits, column))


def test_without_nulls_and_without_keys() -> None:
    found = read_copy(encode([], np.array([[1.0, 2.0], [3.0, 4.0]])))
    assert [[float8(field) for field in fields] for fields in found] == [[1.0, 3.0], [2.0, 4.0]]


def test_a_key_that_may_be_null_and_is_not() -> None:
    key = Key(np.array([5, 6], np.int64), np.array([False, False]))
    found = read_copy(encode([key], np.array([[1.0, 2.0]])))
    assert [int8(fields[0]) for fields in found] == [5, 6]


def test_no_rows() -> None:
    assert read_copy(encode([Key(np.array([], np.int32))], np.empty((3, 0)))) == []


def test_columns_that_are_views_of_other_arrays() -> None:
    wide = np.arange(24.0).reshape(4, 6)
    wide[1, 2] = np.nan
    keys = np.arange(12, dtype=np.int64)[::4]
    found = read_copy(encode([Key(keys)], wide[::2, 1::2]))
    assert [int8(fields[0]) for fields in found] == [0, 4, 8]
    assert [[float8(field) for field in fields[1:]] for fields in found] == [
        [1.0, 13.0],
        [3.0, 15.0],
        [5.0, 17.0],
    ]


@given(st.floats(0, 7_258_118_400))
def test_times_are_kept_to_the_microsecond(at: float) -> None:
    key = timestamps(np.array([at]))
    [[field]] = read_copy(encode([key], np.empty((0, 1))))
    found = unix_s(field)
    assert found is not None
    assert abs(found - at) <= 1e-6


@pytest.mark.parametrize("text", ["2000-01-01T00:00:00+00:00", "2026-07-01T12:34:56.789123+00:00"])
def test_times_are_those_of_the_calendar(text: str) -> None:
    moment = datetime.fromisoformat(text)
    [[field]] = read_copy(encode([timestamps(np.array([moment.timestamp()]))], np.empty((0, 1))))
    micros = (moment - datetime(2000, 1, 1, tzinfo=UTC)).total_seconds() * 1e6
    assert int8(field) == round(micros)


def test_infinity_is_a_value_and_nan_is_null() -> None:
    found = read_copy(encode([], np.array([[math.inf, -math.inf, math.nan]])))
    assert [float8(fields[0]) for fields in found] == [math.inf, -math.inf, None]
