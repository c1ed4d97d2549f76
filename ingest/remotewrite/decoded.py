"""What the decode kernels give: columns of samples, and what only the slow path may judge."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Decoded", "Ints", "Limits", "Malformed", "Unknown", "Words"]

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]


class Malformed(ValueError):
    """A body, or a message in it, that is no protobuf of its kind or past a limit; says which."""


class Limits:
    """What one body may hold, so that a few bytes cannot ask for gigabytes; more is `Malformed`."""

    # TimeSeries and MetricMetadata messages.
    MESSAGES = 262_144
    SAMPLES = 1_048_576
    SYMBOLS = 1_048_576
    # A label region, or a message that the fast path leaves to the slow one.
    MESSAGE_BYTES = 4 << 20
    # What one series may have.
    LABELS = 100
    NAME_BYTES = 1_024
    VALUE_BYTES = 16_384
    # What PostgreSQL's timestamptz can hold, in ms since 1970.
    TIME_MIN_MS = -210_866_803_200_000
    TIME_MAX_MS = 9_224_318_015_999_999


class Unknown(NamedTuple):
    """Something in the body that the cache does not know, and the 16 bytes to make it known by."""

    fingerprint: bytes
    start: int
    stop: int


class Decoded(NamedTuple):
    """One body's samples as columns, read-only, and the places of everything else in it."""

    # At least 0: known; −1−k: the k-th of `unknown`.
    series_id: Ints
    time_ms: Ints
    # The float64's own bits: a NaN that marks a series' end must not change.
    bits: Words
    # Label regions (1.0), or contents of packed labels_refs (2.0), each once.
    unknown: list[Unknown]
    # TimeSeries that the fast path does not judge.
    odd: list[tuple[int, int]]
    # MetricMetadata messages (1.0).
    metadata: list[tuple[int, int]]
    # Ids whose entry had an older hour; may repeat.
    touched: Ints
    # TimeSeries messages in all, and those of them that the cache knew.
    series: int
    known: int
    # TimeSeries (2.0) with metadata not yet learned; their samples are in the columns all the same.
    news: list[Unknown]
    # Start and stop of each symbol (2.0), one after another; empty where nothing above needs them.
    symbols: Ints
