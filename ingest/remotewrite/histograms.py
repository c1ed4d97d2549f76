"""Native histograms, kept in their wire form where their buckets and counts hold together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ingest.remotewrite import remote1_pb2, remote2_pb2
from ingest.remotewrite.labels import Refused

__all__ = ["Histogram", "read_histogram"]

Message = remote1_pb2.Histogram | remote2_pb2.Histogram

# Buckets are powers of two to 2^-schema; or, in the last, bounded by `custom_values`.
SCHEMAS = range(-4, 9)
CUSTOM_SCHEMA = -53
RESET_HINTS = range(4)
_INT8_END = 1 << 63


class Histogram(NamedTuple):
    """A native histogram at one time: counts and deltas of integers, or counts of floats."""

    time_ms: int
    count_int: int | None
    count_float: float | None
    sum: float
    schema: int
    zero_threshold: float
    zero_count_int: int | None
    zero_count_float: float | None
    negative_span_offsets: list[int]
    negative_span_lengths: list[int]
    negative_deltas: list[int]
    negative_counts: list[float]
    positive_span_offsets: list[int]
    positive_span_lengths: list[int]
    positive_deltas: list[int]
    positive_counts: list[float]
    reset_hint: int
    custom_values: list[float]
    start_ms: int | None


def read_histogram(message: Message) -> Histogram | Refused:
    """The histogram, if what it counts is possible."""
    is_float = message.WhichOneof("count") == "count_float"
    histogram = Histogram(
        time_ms=message.timestamp,
        count_int=None if is_float else message.count_int,
        count_float=message.count_float if is_float else None,
        sum=message.sum,
        schema=message.schema,
        zero_threshold=message.zero_threshold,
        zero_count_int=None if is_float else message.zero_count_int,
        zero_count_float=message.zero_count_float if is_float else None,
        negative_span_offsets=[span.offset for span in message.negative_spans],
        negative_span_lengths=[span.length for span in message.negative_spans],
        negative_deltas=list(message.negative_deltas),
        negative_counts=list(message.negative_counts),
        positive_span_offsets=[span.offset for span in message.positive_spans],
        positive_span_lengths=[span.length for span in message.positive_spans],
        positive_deltas=list(message.positive_deltas),
        positive_counts=list(message.positive_counts),
        reset_hint=message.reset_hint if message.reset_hint in RESET_HINTS else 0,
        custom_values=list(message.custom_values),
        start_ms=message.start_timestamp or None,
    )
    rule = _broken_kind(histogram, is_float) or _broken(histogram, is_float)
    return Refused(rule, f"schema {histogram.schema}") if rule else histogram


def _broken_kind(histogram: Histogram, is_float: bool) -> str:
    integers = histogram.negative_deltas or histogram.positive_deltas
    floats = histogram.negative_counts or histogram.positive_counts
    return "histogram of mixed kinds" if (integers if is_float else floats) else ""


def _broken(histogram: Histogram, is_float: bool) -> str:
    negative = _counts(is_float, histogram.negative_counts, histogram.negative_deltas)
    positive = _counts(is_float, histogram.positive_counts, histogram.positive_deltas)
    return (
        _broken_spans(histogram.negative_span_offsets, histogram.negative_span_lengths, negative)
        or _broken_spans(histogram.positive_span_offsets, histogram.positive_span_lengths, positive)
        or _broken_schema(histogram)
        or _broken_counts(histogram, [*negative, *positive])
    )


def _counts(is_float: bool, counts: Sequence[float], deltas: Iterable[int]) -> list[float]:
    """Each bucket's count; sent as integers, a bucket is told by how it differs from the last."""
    return list(counts if is_float else itertools.accumulate(deltas))


def _broken_spans(offsets: list[int], lengths: list[int], counts: Sequence[float]) -> str:
    if any(offset < 0 for offset in offsets[1:]):
        return "histogram span before its predecessor"
    if sum(lengths) != len(counts):
        return "histogram spans and buckets differ"
    if any(not count >= 0 for count in counts):
        return "histogram bucket below 0"
    return ""


def _broken_schema(histogram: Histogram) -> str:
    bounds = histogram.custom_values
    if histogram.schema != CUSTOM_SCHEMA:
        if histogram.schema not in SCHEMAS:
            return "histogram schema unknown"
        return "histogram bounds without their schema" if bounds else ""
    zeros = histogram.zero_count_int or histogram.zero_count_float or histogram.zero_threshold
    if zeros or histogram.negative_span_offsets:
        return "histogram with bounds has zero or negative buckets"
    # A NaN is not below anything, and the last bound is finite: a bucket above it is implied.
    if not all(low < high for low, high in itertools.pairwise([*bounds, math.inf])):
        return "histogram bounds do not rise"
    offsets, lengths = histogram.positive_span_offsets, histogram.positive_span_lengths
    if any(offset < 0 for offset in offsets) or sum(offsets) + sum(lengths) > len(bounds) + 1:
        return "histogram bucket past its bounds"
    return ""


def _broken_counts(histogram: Histogram, buckets: Sequence[float]) -> str:
    if histogram.count_int is None or histogram.zero_count_int is None:
        counts = (histogram.count_float or 0.0, histogram.zero_count_float or 0.0)
        return "" if all(count >= 0 for count in counts) else "histogram count below 0"
    if max(histogram.count_int, histogram.zero_count_int) >= _INT8_END:
        return "histogram count too large"
    counted = histogram.zero_count_int + sum(buckets)
    # Observations of NaN are counted in no bucket, and make the sum NaN.
    if math.isnan(histogram.sum) and counted < histogram.count_int:
        return ""
    return "" if counted == histogram.count_int else "histogram count is not its buckets' sum"
