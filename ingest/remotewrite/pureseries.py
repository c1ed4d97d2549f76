"""The bounded table of known series, in pure Python: fingerprint to id, evicted by a clock."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from ingest.remotewrite.decoded import Ints

__all__ = ["SeriesTable"]


class SeriesTable:
    """At most `capacity` entries; one that was looked up since the hand passed it stays longer."""

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("capacity is less than 1")
        self._capacity = capacity
        self.evictions = 0
        self.slots: dict[bytes, int] = {}
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self.slots.clear()
        self._keys: list[bytes | None] = []
        self._free: list[int] = []
        self._hand = 0
        self.ids = np.empty(0, np.int64)
        self._hours = np.empty(0, np.int32)
        # Not numpy: entry by entry a bytearray is three times as fast.
        self.used = bytearray()

    def put(self, fingerprints: Sequence[bytes], series_ids: Sequence[int], hour: int) -> None:
        """Makes these known; one that is known already gets the new id."""
        for fingerprint, series_id in zip(fingerprints, series_ids, strict=True):
            slot = self.slots.get(fingerprint)
            if slot is None:
                slot = self._take()
                self.slots[fingerprint] = slot
                self._keys[slot] = fingerprint
                self._hours[slot] = hour
            self.ids[slot] = series_id
            self._hours[slot] = max(self._hours[slot], hour)

    def use(self, slots: npt.NDArray[np.intp], hour: int) -> Ints:
        """Notes that these were met in that hour; the ids of those whose hour was an older one."""
        older = np.unique(slots[self._hours[slots] < hour])
        self._hours[older] = hour
        return self.ids[older]

    def forget(self, series_ids: Collection[int]) -> int:
        """Removes the entries of these ids; how many there were."""
        removed = set(series_ids)
        slots = [slot for slot in self.slots.values() if int(self.ids[slot]) in removed]
        for slot in slots:
            self._remove(slot)
            self._free.append(slot)
        return len(slots)

    def _take(self) -> int:
        if self._free:
            return self._free.pop()
        if len(self._keys) < self._capacity:
            self._keys.append(None)
            self.used.append(0)
            if len(self._keys) > len(self.ids):
                self._grow()
            return len(self._keys) - 1
        while True:
            slot = self._hand
            self._hand = (slot + 1) % self._capacity
            if not self.used[slot]:
                self._remove(slot)
                self.evictions += 1
                return slot
            self.used[slot] = 0

    def _grow(self) -> None:
        room = min(self._capacity, max(1024, 2 * len(self.ids)))
        for name in ("ids", "_hours"):
            old = getattr(self, name)
            new = np.zeros(room, old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)

    def _remove(self, slot: int) -> None:
        key = self._keys[slot]
        assert key is not None
        del self.slots[key]
        self._keys[slot] = None
        self.used[slot] = 0
