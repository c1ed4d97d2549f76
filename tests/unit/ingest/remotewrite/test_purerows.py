"""COPY bytes of both kernels, and the samples that numpy reads at once."""

from __future__ import annotations

import struct
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.remotewrite.decoded import Limits
from ingest.remotewrite.purerows import Doubtful, read_samples
from tests.unit.ingest.copyreader import read_copy
from tests.unit.ingest.remotewrite.bodies import NOW_MS, STALE, field, sample
from tests.unit.ingest.remotewrite.oracle import KERNELS

EPOCH_MS = 946_684_800_000
Row = tuple[int, int, int]

ids = st.one_of(st.integers(0, 5), st.integers(-(2**63), 2**63 - 1))
times = st.one_of(
    st.integers(NOW_MS, NOW_MS + 3),
    st.integers(Limits.TIME_MIN_MS, Limits.TIME_MAX_MS),
    st.sampled_from([Limits.TIME_MIN_MS, Limits.TIME_MAX_MS]),
)
words = st.sampled_from([0, STALE, 1 << 63, 2**64 - 1, 7])


def copied(kernel: ModuleType, rows: list[Row]) -> list[Row]:
    series, time, bits = (list(column) for column in zip(*rows, strict=True)) if rows else ([],) * 3
    data, count = kernel.copy_rows(
        np.array(series, np.int64), np.array(time, np.int64), np.array(bits, np.uint64)
    )
    found = []
    for fields in read_copy(data):
        at, number, word = (struct.unpack(">q", each or b"")[0] for each in fields)
        assert at % 1000 == 0
        found.append((number, at // 1000 + EPOCH_MS, word & (1 << 64) - 1))
    assert len(found) == count
    return found


@pytest.mark.parametrize("kernel", KERNELS)
def test_rows_are_sorted_and_each_is_there_once(kernel: ModuleType) -> None:
    @settings(deadline=None)
    @given(st.lists(st.tuples(ids, times, words), max_size=30))
    def check(rows: list[Row]) -> None:
        assert copied(kernel, rows + rows[::2]) == sorted(set(rows))

    check()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("series", [1, 60_000, 2**40])
def test_many_bodies_rows(kernel: ModuleType, series: int) -> None:
    draw = np.random.default_rng(series)
    bodies = [np.sort(draw.integers(0, series, 500)) for _ in range(20)]
    rows = [
        (int(number), NOW_MS + 15_000 * body, int(draw.integers(0, 3)))
        for body, numbers in enumerate(bodies)
        for number in numbers
    ]
    assert copied(kernel, rows) == sorted(set(rows))


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_stale_marker_keeps_its_bits(kernel: ModuleType) -> None:
    assert copied(kernel, [(1, NOW_MS, STALE)]) == [(1, NOW_MS, STALE)]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    "time", [Limits.TIME_MIN_MS - 1, Limits.TIME_MAX_MS + 1, 2**63 - 1, -(2**63)]
)
def test_a_time_past_timestamptz_is_refused(kernel: ModuleType, time: int) -> None:
    with pytest.raises(ValueError, match="timestamptz"):
        copied(kernel, [(1, NOW_MS, 0), (1, time, 0)])


@pytest.mark.parametrize("kernel", KERNELS)
def test_columns_have_one_length(kernel: ModuleType) -> None:
    one: Any = np.zeros(1, np.int64)
    two: Any = np.zeros(2, np.int64)
    with pytest.raises(ValueError, match="length"):
        kernel.copy_rows(one, two, two.view(np.uint64))


def test_samples_are_read_where_they_are() -> None:
    fields = [field(2, sample(NOW_MS + n, n % 3 and STALE + n)) for n in range(20)]
    body = b"head" + b"".join(fields)
    places = 4 + np.cumsum([0, *map(len, fields[:-1])])
    found, bits = read_samples(body, places)
    assert found.tolist() == [NOW_MS + n for n in range(20)]
    assert bits.tolist() == [n % 3 and STALE + n for n in range(20)]


@pytest.mark.parametrize(
    "text",
    [b"\x12\x10\x09" + b"8" * 8 + b"\x18" + b"\x80" * 5 + b"\x01",
     b"\x12\x10\x11" + b"8" * 8 + b"\x10" + b"\x80" * 5 + b"\x01",
     b"\x12\x10\x09" + b"8" * 8 + b"\x10" + b"\x80" * 6,
     b"\x12\x10\x09" + b"8" * 8 + b"\x10" + b"\x80\x80\x01\x80\x80\x01",
     b"\x12\x07\x11" + b"\x80" * 5 + b"\x01", b"\x12\x07\x10" + b"\x80" * 6],
)  # fmt: skip
def test_other_shapes_are_doubtful(text: bytes) -> None:
    with pytest.raises(Doubtful):
        read_samples(text, np.zeros(1, np.intp))
