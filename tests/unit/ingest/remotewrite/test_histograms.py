"""Native histograms: what is possible, and what is not."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ingest.remotewrite import remote1_pb2, remote2_pb2
from ingest.remotewrite.histograms import Histogram, read_histogram
from ingest.remotewrite.labels import Refused

NOW_MS = 1_790_000_000_000


def integers(**changes: Any) -> remote1_pb2.Histogram:
    given: dict[str, Any] = {
        "count_int": 1 + 2 + 3 + 4 + 3, "sum": 2.5, "schema": 2, "zero_count_int": 1,
        "positive_deltas": [2, 1], "positive_spans": [{"offset": -3, "length": 2}],
        "negative_deltas": [4, -1], "negative_spans": [{"offset": -1, "length": 1},
        {"offset": 3, "length": 1}], "timestamp": NOW_MS, "zero_threshold": 0.1, **changes,
    }  # fmt: skip
    return remote1_pb2.Histogram(**given)


def custom(**changes: Any) -> remote2_pb2.Histogram:
    given: dict[str, Any] = {
        "count_int": 1 + 2 + 1, "schema": -53, "custom_values": [0.5, 1.0], "timestamp": NOW_MS,
        "positive_spans": [{"offset": 0, "length": 3}], "positive_deltas": [1, 1, -1], **changes,
    }  # fmt: skip
    return remote2_pb2.Histogram(**given)


def floats(**changes: Any) -> remote2_pb2.Histogram:
    given: dict[str, Any] = {
        "count_float": 2.5, "schema": 0, "positive_counts": [0.5, 1.5], "zero_count_float": 0.5,
        "positive_spans": [{"offset": 0, "length": 2}], "reset_hint": 3, "start_timestamp": 5,
        **changes,
    }  # fmt: skip
    return remote2_pb2.Histogram(**given)


def test_integers_are_kept_as_they_came() -> None:
    found = read_histogram(integers())
    assert isinstance(found, Histogram)
    assert (found.time_ms, found.count_int, found.count_float) == (NOW_MS, 13, None)
    assert (found.zero_count_int, found.zero_count_float) == (1, None)
    assert (found.negative_span_offsets, found.negative_span_lengths) == ([-1, 3], [1, 1])
    assert (found.negative_deltas, found.positive_deltas) == ([4, -1], [2, 1])
    assert (found.reset_hint, found.start_ms) == (0, None)


def test_floats_are_kept_as_they_came() -> None:
    found = read_histogram(floats())
    assert isinstance(found, Histogram)
    assert (found.count_int, found.count_float, found.positive_counts) == (None, 2.5, [0.5, 1.5])
    assert (found.reset_hint, found.start_ms) == (3, 5)


def test_bounds_of_their_own() -> None:
    found = read_histogram(custom())
    assert isinstance(found, Histogram)
    assert found.custom_values == [0.5, 1.0]


def test_an_empty_one_and_a_stale_one_are_histograms() -> None:
    assert isinstance(read_histogram(remote1_pb2.Histogram(timestamp=NOW_MS)), Histogram)
    assert isinstance(read_histogram(remote1_pb2.Histogram(sum=math.nan)), Histogram)


def test_observations_of_nan_are_in_no_bucket() -> None:
    assert isinstance(read_histogram(integers(sum=math.nan, count_int=14)), Histogram)
    assert isinstance(read_histogram(integers(sum=math.nan, count_int=12)), Refused)


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        (integers(count_int=14), "histogram count is not its buckets' sum"),
        (integers(count_int=12), "histogram count is not its buckets' sum"),
        (integers(positive_deltas=[2, -3], count_int=9), "histogram bucket below 0"),
        (integers(positive_deltas=[2, 1, 1]), "histogram spans and buckets differ"),
        (integers(positive_spans=[]), "histogram spans and buckets differ"),
        (integers(negative_spans=[{"offset": 0, "length": 1}, {"offset": -1, "length": 1}]),
         "histogram span before its predecessor"),
        (integers(schema=9), "histogram schema unknown"),
        (integers(schema=-5), "histogram schema unknown"),
        (integers(custom_values=[1.0]), "histogram bounds without their schema"),
        (integers(positive_counts=[1.0]), "histogram of mixed kinds"),
        (integers(count_int=1 << 63), "histogram count too large"),
        (integers(positive_spans=[{"offset": 0, "length": 0xFFFFFFFF}]),
         "histogram spans and buckets differ"),
        (floats(positive_deltas=[1]), "histogram of mixed kinds"),
        (floats(positive_counts=[1.0, -0.5]), "histogram bucket below 0"),
        (floats(positive_counts=[1.0, math.nan]), "histogram bucket below 0"),
        (floats(count_float=-1.0), "histogram count below 0"),
        (floats(zero_count_float=-1.0), "histogram count below 0"),
        (custom(custom_values=[1.0, 0.5]), "histogram bounds do not rise"),
        (custom(custom_values=[1.0, 1.0]), "histogram bounds do not rise"),
        (custom(custom_values=[math.nan]), "histogram bounds do not rise"),
        (custom(custom_values=[0.5, math.inf]), "histogram bounds do not rise"),
        (custom(custom_values=[0.5]), "histogram bucket past its bounds"),
        (custom(positive_spans=[{"offset": -1, "length": 3}]), "histogram bucket past its bounds"),
        (custom(zero_count_int=1, count_int=5),
         "histogram with bounds has zero or negative buckets"),
        (custom(zero_threshold=0.1), "histogram with bounds has zero or negative buckets"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(message: Any, rule: str) -> None:
    assert read_histogram(message) == Refused(rule, f"schema {message.schema}")
