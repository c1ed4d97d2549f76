"""A body's columns under ids, without what breaks a rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from ingest.remotewrite.decoded import Decoded
from ingest.remotewrite.labels import Labels, Refused
from ingest.remotewrite.oddrows import exemplar_row, histogram_row
from ingest.remotewrite.reading import Leftovers
from ingest.remotewrite.refusals import Refusals
from ingest.remotewrite.slowpath import OddSeries, SlowPath
from ingest.remotewrite.storedbody import StoredBody
from ingest.remotewrite.window import Window

__all__ = ["AHEAD", "TOO_OLD", "Assembly"]

TOO_OLD = "older than the retention of samples"
AHEAD = "more than 10 minutes ahead of the service's clock"

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Columns = tuple[Ints, Ints, Words]
# Makes the slow path of the same body.
Slow = Callable[[], SlowPath]


class Assembly:
    """Joins what was read of a body with ids; what is refused goes to `refusals`."""

    def __init__(
        self, decoded: Decoded, left: Leftovers, window: Window, refusals: Refusals
    ) -> None:
        self._decoded = decoded
        self._left = left
        self._window = window
        self._refusals = refusals

    def body(self, key: UUID, epoch: int, ids: Mapping[UUID, int], slow: Slow) -> StoredBody:
        """What is to be stored; `ids` by identity has all that is not refused."""
        self._refuse_metadata()
        pieces = [self._samples(ids, slow)]
        exemplars: list[tuple[Any, ...]] = []
        histograms: list[tuple[Any, ...]] = []
        for identity, odd in zip(self._left.odd_ids, self._left.odd, strict=True):
            if identity is None or isinstance(odd.labels, Refused):
                assert isinstance(odd.labels, Refused)
                self._refusals.add(odd.labels.shown, odd.labels.rule, sum(odd.counts))
                continue
            odd_id, labels = ids[identity], odd.labels
            pieces.append(self._odd_samples(odd_id, labels, odd))
            for exemplar in self._good(odd.exemplars, labels):
                exemplars.append(exemplar_row(odd_id, exemplar))
            for histogram in self._good(odd.histograms, labels):
                histograms.append(histogram_row(odd_id, histogram))
        series_id, time_ms, bits = pieces[0] if len(pieces) == 1 else _joined(pieces)
        return StoredBody(key, epoch, series_id, time_ms, bits, exemplars, histograms)

    def _samples(self, ids: Mapping[UUID, int], slow: Slow) -> Columns:
        """Those of the fast path."""
        series_id, time_ms, bits, *_ = self._decoded
        if self._decoded.unknown:
            series_id = self._looked_up(series_id, ids)
        keep = self._in_time(time_ms, series_id >= 0, slow)
        if keep is None and not (self._decoded.unknown and (series_id < 0).any()):
            return series_id, time_ms, bits
        keep = series_id >= 0 if keep is None else keep & (series_id >= 0)
        return series_id[keep], time_ms[keep], bits[keep]

    def _looked_up(self, series_id: Ints, ids: Mapping[UUID, int]) -> Ints:
        """Ids in place of positions; −1 for what is refused."""
        new = series_id < 0
        at = -1 - series_id[new]
        found = [-1 if key is None else ids[key] for key in self._left.unknown_ids]
        counts = np.bincount(at, minlength=len(found))
        for labels, count in zip(self._left.unknown, counts.tolist(), strict=True):
            if isinstance(labels, Refused):
                self._refusals.add(labels.shown, labels.rule, count)
        series_id = series_id.copy()
        series_id[new] = np.array(found, np.int64)[at]
        return series_id

    def _in_time(
        self, time_ms: Ints, known: npt.NDArray[np.bool_], slow: Slow
    ) -> npt.NDArray[np.bool_] | None:
        """Which rows have a time that is taken; None for all."""
        keep: npt.NDArray[np.bool_] | None = None
        for rule, wrong in (
            (TOO_OLD, self._window.too_old(time_ms)),
            (AHEAD, self._window.ahead(time_ms)),
        ):
            if wrong is None:
                continue
            keep = ~wrong if keep is None else keep & ~wrong
            rows = np.flatnonzero(wrong & known).tolist()
            while rows and not self._refusals.is_full:
                row = rows.pop(0)
                labels = slow().labels_of_row(row)
                self._refusals.add(_shown_sample(labels, int(time_ms[row])), rule)
            self._refusals.add_unnamed(rule, len(rows))
        return keep

    def _odd_samples(self, series_id: int, labels: Labels, odd: OddSeries) -> Columns:
        time_ms, bits = odd.time_ms, odd.bits
        keep = np.ones(len(time_ms), np.bool_)
        for n, t in enumerate(time_ms.tolist()):
            if rule := self._broken(t):
                keep[n] = False
                self._refusals.add(_shown_sample(labels, t), rule)
        time_ms, bits = time_ms[keep], bits[keep]
        return np.full(len(time_ms), series_id, np.int64), time_ms, bits

    def _good(self, things: Sequence[Any], labels: Labels) -> list[Any]:
        """Exemplars or histograms that break no rule."""
        good = []
        for thing in things:
            if isinstance(thing, Refused):
                self._refusals.add(thing.shown, thing.rule)
            elif rule := self._broken(thing.time_ms):
                self._refusals.add(_shown_sample(labels, thing.time_ms), rule)
            else:
                good.append(thing)
        return good

    def _broken(self, time_ms: int) -> str | None:
        if time_ms < self._window.oldest_ms:
            return TOO_OLD
        return AHEAD if time_ms > self._window.newest_ms else None

    def _refuse_metadata(self) -> None:
        for told in self._left.metadata:
            if isinstance(told, Refused):
                self._refusals.add(told.shown, told.rule)


def _joined(pieces: Sequence[Columns]) -> Columns:
    series_id, time_ms, bits = zip(*pieces, strict=True)
    return np.concatenate(series_id), np.concatenate(time_ms), np.concatenate(bits)


def _shown_sample(labels: Labels | Refused | None, time_ms: int) -> str:
    return f"{_shown(labels)} at {time_ms} ms"


def _shown(labels: Labels | Refused | None) -> str:
    if labels is None:
        return "a sample"
    if isinstance(labels, Refused):
        return labels.shown
    told = dict(labels)
    name = told.pop("__name__", "")
    pairs = ",".join(f'{key}="{value}"' for key, value in told.items())
    return f"{name}{{{pairs}}}"
