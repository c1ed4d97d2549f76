"""What becomes of one body: read, its series looked up or made, its samples committed."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from typing import NamedTuple, Protocol
from uuid import UUID

from ingest.remotewrite.assembly import Assembly
from ingest.remotewrite.decoded import Decoded, Malformed
from ingest.remotewrite.epochs import Epochs
from ingest.remotewrite.kernel import SeriesCache
from ingest.remotewrite.labels import Labels, Refused
from ingest.remotewrite.metadata import MetadataStore
from ingest.remotewrite.reading import Leftovers, read_leftovers
from ingest.remotewrite.refusals import Refusals
from ingest.remotewrite.remotemetrics import RemoteWriteMetrics
from ingest.remotewrite.resolver import Resolver
from ingest.remotewrite.sampleflush import Stale
from ingest.remotewrite.samplewriter import SampleWriter
from ingest.remotewrite.slowpath import SlowPath
from ingest.remotewrite.storedbody import StoredBody, body_hash
from ingest.remotewrite.toucher import Toucher
from ingest.remotewrite.unpacking import declared_bytes, unpack
from ingest.remotewrite.window import Windows
from tsobs.db import Database
from tsobs.errors import InvalidRequest, Overloaded

__all__ = ["Held", "Parts", "Receiver", "Verdict"]

# Larger ones are unpacked and decoded in a thread: the loop must answer others meanwhile.
INLINE_BYTES = 1 << 20
# A sample on its way: id, time, bits, and its row for COPY.
ROW_BYTES = 64
USUAL_RATIO = 4
# Bodies at once whose label sets are objects of Python, which are ten times their size.
SLOW_AT_ONCE = 8
LARGE_AT_ONCE = 2
NO_IDS: Mapping[UUID, int] = {}
NOTHING = Leftovers((), (), (), (), ())
TRIES = 4
HOUR_S = 3600


class Verdict(NamedTuple):
    """What was taken of a body (what had been stored before counts, too), and what was refused."""

    samples: int
    exemplars: int
    histograms: int
    refusals: Refusals
    is_new: bool = True
    is_empty: bool = False


class Held(Protocol):
    """What a request holds of the bytes that all may hold together."""

    def grow(self, size_bytes: int) -> None: ...

    def shrink(self, size_bytes: int) -> None: ...


class Parts(NamedTuple):
    """What a receiver hands things on to."""

    database: Database
    cache: SeriesCache
    epochs: Epochs
    windows: Windows
    resolver: Resolver
    toucher: Toucher
    metadata: MetadataStore
    writer: SampleWriter
    metrics: RemoteWriteMetrics


class _LookedUp(NamedTuple):
    """A body as the fast path read it, when, and its bytes if the slow path needs them."""

    decoded: Decoded
    epoch: int
    hour: int
    data: memoryview | None


class Receiver:
    """Takes bodies."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        # Or all processes would mark all their series as alive in one moment.
        self._shift_s = random.randrange(HOUR_S)
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)
        self._slow = asyncio.Semaphore(SLOW_AT_ONCE)
        self._slow_large = asyncio.Semaphore(1)

    async def take(self, packed: bytes, version: int, held: Held) -> Verdict:
        """Returns when it is committed; `held` is the request's part of the bytes that may be held.
        Raises InvalidRequest for what cannot be read, and Overloaded."""
        size = declared_bytes(packed)
        for _ in range(TRIES):
            body, verdict = await self._read(packed, size, version)
            if body.is_empty:
                return verdict
            # What is held on the wire's account covers what is usual; a bomb has more in it.
            extra = max(0, ROW_BYTES * len(body.series_id) - USUAL_RATIO * len(packed))
            held.grow(extra)
            try:
                return verdict._replace(is_new=await self._parts.writer.submit(body))
            except Stale:
                self._parts.metrics.stale.inc()
            finally:
                held.shrink(extra)
        raise Overloaded("series are being removed", retry_after_s=2)

    async def _read(self, packed: bytes, size: int, version: int) -> tuple[StoredBody, Verdict]:
        """The body with ids for everything in it that is not refused; new series are made."""
        await self._parts.epochs.learn(self._parts.database)
        window = await self._parts.windows.now()
        looked_up = await self._decode(packed, size, version)
        left, ids = NOTHING, NO_IDS
        if _has_leftovers(looked_up.decoded):
            gate = self._slow if size <= INLINE_BYTES else self._slow_large
            waited = gate.locked()
            async with gate:
                if waited:
                    # Others may have made the same series known.
                    looked_up = await self._decode(packed, size, version)
                left, ids = await self._resolved(looked_up, version)
        refusals = Refusals()
        decoded = looked_up.decoded
        body = Assembly(decoded, left, window, refusals).body(
            body_hash(packed, version),
            looked_up.epoch,
            ids,
            lambda: SlowPath(unpack(packed), version, decoded),
        )
        counts = (len(body.series_id), len(body.exemplars), len(body.histograms))
        return body, Verdict(*counts, refusals, is_empty=body.is_empty)

    async def _decode(self, packed: bytes, size: int, version: int) -> _LookedUp:
        """Columns under the ids that the cache has; who was not seen for an hour is touched."""
        parts = self._parts
        # Before the cache is looked at: what is removed from then on is noticed at the commit.
        epoch = parts.epochs.known
        hour = (int(time.time()) + self._shift_s) // HOUR_S

        def decode() -> _LookedUp:
            data = unpack(packed)
            decoded = parts.cache.decode(data, version, hour)
            return _LookedUp(decoded, epoch, hour, data if _has_leftovers(decoded) else None)

        try:
            if size <= INLINE_BYTES:
                looked_up = decode()
            else:
                async with self._large:
                    looked_up = await asyncio.to_thread(decode)
        except Malformed as error:
            raise _unreadable(error) from None
        parts.metrics.series.inc(looked_up.decoded.series)
        parts.metrics.hits.inc(looked_up.decoded.known)
        await parts.toucher.touch(looked_up.decoded.touched)
        return looked_up

    async def _resolved(
        self, looked_up: _LookedUp, version: int
    ) -> tuple[Leftovers, Mapping[UUID, int]]:
        """What the fast path left, and the ids of it by identity."""
        decoded, data = looked_up.decoded, looked_up.data
        assert data is not None or not _has_leftovers(decoded)
        if data is None:
            return NOTHING, NO_IDS
        self._note(decoded)
        try:
            left = await read_leftovers(SlowPath(data, version, decoded), decoded)
        except Malformed as error:
            raise _unreadable(error) from None
        await self._put_metadata(left, decoded)
        return left, await self._ids(left, decoded, looked_up.hour)

    def _note(self, decoded: Decoded) -> None:
        metrics = self._parts.metrics
        metrics.misses.inc(len(decoded.unknown))
        metrics.odd.inc(len(decoded.odd))

    async def _put_metadata(self, left: Leftovers, decoded: Decoded) -> None:
        if not left.metadata:
            return
        self._parts.metrics.metadata.inc(len(left.metadata))
        await self._parts.metadata.put(
            (told.metric, (told.type, told.help, told.unit))
            for told in left.metadata
            if not isinstance(told, Refused)
        )
        self._parts.cache.learned([news.fingerprint for news in decoded.news])

    async def _ids(self, left: Leftovers, decoded: Decoded, hour: int) -> Mapping[UUID, int]:
        """The ids of what the fast path left, by identity; the cache learns them."""
        if not decoded.unknown and not decoded.odd:
            return {}
        parts = self._parts
        known = await self._known_odd(left.odd_series, hour) if decoded.odd else {}
        wanted = dict(left.series)
        wanted |= {key: labels for key, labels in left.odd_series.items() if key not in known}
        if not wanted:
            return known
        epoch = parts.epochs.known
        with parts.metrics.resolving.track_inprogress():
            found = await parts.resolver.resolve(wanted)
        if epoch == parts.epochs.known:
            self._remember(left, decoded, found, hour)
        return {**known, **found}

    async def _known_odd(self, series: Mapping[UUID, Labels], hour: int) -> dict[UUID, int]:
        """Odd messages do not pass the cache by their bytes: it has their identities."""
        ids, touched = self._parts.cache.find([key.bytes for key in series], hour)
        await self._parts.toucher.touch(touched)
        return {key: n for key, n in zip(series, ids.tolist(), strict=True) if n >= 0}

    def _remember(
        self, left: Leftovers, decoded: Decoded, found: Mapping[UUID, int], hour: int
    ) -> None:
        keys = [key for key in left.odd_series if key in found]
        fingerprints = [key.bytes for key in keys]
        for unknown, key in zip(decoded.unknown, left.unknown_ids, strict=True):
            if key is not None:
                keys.append(key)
                fingerprints.append(unknown.fingerprint)
        self._parts.cache.put(fingerprints, [found[key] for key in keys], hour)


def _has_leftovers(decoded: Decoded) -> bool:
    return bool(decoded.unknown or decoded.odd or decoded.metadata or decoded.news)


def _unreadable(error: Malformed) -> InvalidRequest:
    return InvalidRequest(
        f"the body cannot be read: {error}", field="body", rule="protobuf of its Content-Type"
    )
