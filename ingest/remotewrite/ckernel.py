"""The compiled kernel behind the same interface as the pure one."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import suppress

import numpy as np

from ingest.remotewrite.decoded import Decoded, Ints, Malformed, Unknown, Words
from ingest.remotewrite.purelabels import Labels

# As kernel.c has it; changes with what the two ask of each other: no older build is used.
INTERFACE = 1
AVAILABLE = False
with suppress(ImportError, AttributeError):
    from ingest.remotewrite import _kernel

    AVAILABLE = _kernel.INTERFACE == INTERFACE

__all__ = ["AVAILABLE", "SeriesCache", "copy_rows", "identity_text", "read_labels"]

_SECRET_BYTES = 72


class SeriesCache:
    """Known label sets by their bytes, at most `capacity`, 40 bytes each; any thread may call."""

    def __init__(self, capacity: int) -> None:
        self._cache = _kernel.Cache(capacity, os.urandom(_SECRET_BYTES))

    def decode(self, body: bytes | bytearray | memoryview, version: int, hour: int) -> Decoded:
        """The columns of an unpacked body, whose known series are now of `hour` (hours since
        1970)."""
        if version not in (1, 2):
            raise ValueError("version is neither 1 nor 2")
        try:
            ids, times, bits, unknown, odd, metadata, touched, series, known, news, symbols = (
                self._cache.decode(body, version, hour)
            )
        except ValueError as error:
            raise Malformed(*error.args) from None
        return Decoded(
            np.frombuffer(ids, np.int64), np.frombuffer(times, np.int64),
            np.frombuffer(bits, np.uint64), [Unknown(*each) for each in unknown], odd, metadata,
            np.frombuffer(touched, np.int64), series, known, [Unknown(*each) for each in news],
            np.frombuffer(symbols, np.int64),
        )  # fmt: skip

    def find(self, fingerprints: Sequence[bytes], hour: int) -> tuple[Ints, Ints]:
        """The ids of these, −1 for what is not known; and those ids whose hour was older."""
        ids, touched = self._cache.find(_joined(fingerprints), hour)
        return np.frombuffer(ids, np.int64), np.frombuffer(touched, np.int64)

    def put(self, fingerprints: Sequence[bytes], series_ids: Sequence[int], hour: int) -> None:
        """Makes these known; one that is known already gets the new id."""
        self._cache.put(_joined(fingerprints), np.array(series_ids, np.int64), hour)

    def learned(self, fingerprints: Sequence[bytes]) -> None:
        """These metadata are no news any more."""
        self._cache.learned(_joined(fingerprints))

    def forget(self, series_ids: Collection[int]) -> int:
        """Removes what is known under these ids; how many entries that were."""
        return self._cache.forget(np.unique(np.array(list(series_ids), np.int64)))

    def clear(self) -> None:
        """Forgets everything."""
        self._cache.clear()

    def __len__(self) -> int:
        return self._cache.counts()[0]

    @property
    def evictions(self) -> int:
        """Entries that had to go for others since the start."""
        return self._cache.counts()[1]


def copy_rows(series_id: Ints, time_ms: Ints, bits: Words) -> tuple[bytes, int]:
    """A binary COPY stream of (time timestamptz, series_id int8, value float8), and its number of
    rows: sorted by series, time and bits, and what is equal in all three once. ValueError for a
    time that timestamptz cannot hold."""
    return _kernel.copy_rows(
        np.ascontiguousarray(series_id, np.int64),
        np.ascontiguousarray(time_ms, np.int64),
        np.ascontiguousarray(bits, np.uint64),
    )


def identity_text(labels: Labels) -> bytes:
    """Of each name and value its length (4 bytes, big-endian) and its UTF-8 bytes."""
    return _kernel.identity_text(labels)


def read_labels(
    body: bytes | bytearray | memoryview, start: int, stop: int, symbols: Ints | None
) -> Labels | None:
    """The canonical set of a region (1.0, or 2.0 with the places of its symbols), where that takes
    no judgement; None leaves it to the slow path."""
    return _kernel.read_labels(body, start, stop, symbols)


def _joined(fingerprints: Sequence[bytes]) -> bytes:
    if any(len(each) != 16 for each in fingerprints):
        raise ValueError("a fingerprint has not 16 bytes")
    return b"".join(fingerprints)
