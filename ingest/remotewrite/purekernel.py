"""Decoding and COPY bytes without a compiler: Python's loops over messages, numpy over samples.

The C kernel (`kernel.c`) does the same, and the same tests prove both.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Sequence

import numpy as np

from ingest.remotewrite.decoded import Decoded, Ints
from ingest.remotewrite.purebody import BodyReader, Keys
from ingest.remotewrite.purelabels import identity_text, read_labels
from ingest.remotewrite.purerows import Doubtful, copy_rows
from ingest.remotewrite.pureseries import SeriesTable

__all__ = ["SeriesCache", "copy_rows", "identity_text", "read_labels"]

MAX_LEARNED = 65_536


class SeriesCache:
    """Known label sets by their bytes, at most `capacity`; any thread may call."""

    def __init__(self, capacity: int) -> None:
        self._table = SeriesTable(capacity)
        self._learned = SeriesTable(MAX_LEARNED)
        self._keys = Keys(*(os.urandom(16) for _ in Keys._fields))
        self._lock = threading.Lock()

    def decode(self, body: bytes | bytearray | memoryview, version: int, hour: int) -> Decoded:
        """The columns of an unpacked body, whose known series are now of `hour` (hours since
        1970)."""
        if version not in (1, 2):
            raise ValueError("version is neither 1 nor 2")
        text = bytes(body)
        with self._lock:
            if version == 2:
                reader = self._reader(text)
                reader.read2()
                return reader.decoded(hour)
            for careful in (False, True):
                reader = self._reader(text)
                reader.read1(careful)
                try:
                    return reader.decoded(hour)
                except Doubtful:
                    continue
            raise AssertionError("a careful reader doubts nothing")

    def find(self, fingerprints: Sequence[bytes], hour: int) -> tuple[Ints, Ints]:
        """The ids of these, −1 for what is not known; and those ids whose hour was older."""
        with self._lock:
            slots = np.array([self._table.slots.get(each, -1) for each in fingerprints], np.intp)
            hits = slots[slots >= 0]
            for slot in hits.tolist():
                self._table.used[slot] = 1
            ids = np.full(len(slots), -1, np.int64)
            ids[slots >= 0] = self._table.ids[hits]
            return ids, self._table.use(hits, hour)

    def put(self, fingerprints: Sequence[bytes], series_ids: Sequence[int], hour: int) -> None:
        """Makes these known; one that is known already gets the new id."""
        if any(len(each) != 16 for each in fingerprints):
            raise ValueError("a fingerprint has not 16 bytes")
        with self._lock:
            self._table.put(fingerprints, series_ids, hour)

    def learned(self, fingerprints: Sequence[bytes]) -> None:
        """These metadata are no news any more."""
        with self._lock:
            self._learned.put(fingerprints, [0] * len(fingerprints), 0)

    def forget(self, series_ids: Collection[int]) -> int:
        """Removes what is known under these ids; how many entries that were."""
        with self._lock:
            return self._table.forget(series_ids)

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._table.clear()
            self._learned.clear()

    def __len__(self) -> int:
        return len(self._table.slots)

    @property
    def evictions(self) -> int:
        """Entries that had to go for others since the start."""
        return self._table.evictions

    def _reader(self, text: bytes) -> BodyReader:
        return BodyReader(text, self._table, self._learned, self._keys)
