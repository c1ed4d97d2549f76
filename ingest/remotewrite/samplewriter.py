"""Group commit: all that waits becomes one COPY and one commit, and each sender hears when its own
body is in it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from ingest.quarrel import TRIES, retried
from ingest.remotewrite.epochs import Epochs
from ingest.remotewrite.keptconnection import KeptConnection
from ingest.remotewrite.poison import Poison
from ingest.remotewrite.remotemetrics import RemoteWriteMetrics
from ingest.remotewrite.sampleflush import Prepared, Stale, prepare, store
from ingest.remotewrite.storedbody import StoredBody
from tsobs.db import Database
from tsobs.errors import Overloaded

__all__ = ["SampleWriter"]

log = logging.getLogger(__name__)

# Past this a COPY gets no faster, and what it sorts no smaller.
GROUP_SAMPLES = 100_000
# A commit costs the same whatever is in it: a body waits this long for so many samples to share it.
LINGER_S = 0.008
ENOUGH_SAMPLES = 12_000
# So few are sorted in a few milliseconds; a thread costs the loop as much.
INLINE_SAMPLES = 20_000


class _Waiting(NamedTuple):
    body: StoredBody
    since: float
    done: asyncio.Future[bool]


class SampleWriter:
    """A queue of bodies and the tasks that commit it. `run` until `stop`, which drains. What may
    wait is bounded by the bytes that requests hold."""

    def __init__(
        self, database: Database, epochs: Epochs, metrics: RemoteWriteMetrics, *, writers: int
    ) -> None:
        self._database = database
        self._epochs = epochs
        self._metrics = metrics
        self._writers = writers
        self._poison = Poison()
        self._queue: deque[_Waiting] = deque()
        self._queued_samples = 0
        self._last_group = 0
        self._arrived = asyncio.Event()
        self._gathering = asyncio.Lock()
        self._stopping = False

    async def submit(self, body: StoredBody) -> bool:
        """Commits a body: whether it is new, and not one that was stored before. Raises Stale when
        its ids must be looked up again, Overloaded, and InvalidRequest for what no table takes."""
        if self._stopping:
            raise Overloaded("the service is stopping", retry_after_s=2)
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(body, time.monotonic(), done))
        self._queued_samples += len(body.series_id)
        self._note_depth()
        self._arrived.set()
        return await done

    async def run(self) -> None:
        """Commits until stopped and drained."""
        async with asyncio.TaskGroup() as tasks:
            for n in range(self._writers):
                tasks.create_task(self._work(), name=f"sample-writer-{n}")

    def stop(self) -> None:
        """Takes no more; what is queued is still committed."""
        self._stopping = True
        self._arrived.set()

    async def _work(self) -> None:
        kept = KeptConnection(self._database)
        try:
            while group := await self._take():
                try:
                    await self._write(kept, group)
                except Exception as error:
                    log.exception("samples cannot be written")
                    _fail(group, error)
        finally:
            await kept.give_back()

    async def _take(self) -> list[_Waiting]:
        """All that waits, up to GROUP_SAMPLES; empty at the end."""
        async with self._gathering:
            while not self._queue:
                if self._stopping:
                    return []
                self._arrived.clear()
                await self._arrived.wait()
            # Who came alone last time will not meet company by waiting.
            while self._last_group > 1 and self._queued_samples < ENOUGH_SAMPLES:
                left_s = self._queue[0].since + LINGER_S - time.monotonic()
                if left_s <= 0 or self._stopping:
                    break
                self._arrived.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._arrived.wait(), left_s)
            return self._pop()

    def _pop(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        samples = 0
        now = time.monotonic()
        while self._queue and samples < GROUP_SAMPLES:
            waiting = self._queue.popleft()
            samples += len(waiting.body.series_id)
            self._metrics.queue_wait.observe(now - waiting.since)
            group.append(waiting)
        self._queued_samples -= samples
        self._last_group = len(group)
        self._note_depth()
        return group

    def _note_depth(self) -> None:
        self._metrics.queue_bodies.set(len(self._queue))
        self._metrics.queue_samples.set(self._queued_samples)

    async def _write(self, kept: KeptConnection, group: Sequence[_Waiting]) -> None:
        """Commits a group; one that the database refuses is tried body by body."""
        try:
            await self._commit(kept, group)
        except Overloaded as error:
            self._metrics.failures.inc()
            _fail(group, error)
        except Exception as error:
            self._metrics.failures.inc()
            if len(group) == 1:
                _fail(group, self._poison.judged(group[0].body.hash, error))
                return
            log.warning("a commit of %d bodies was refused, trying each: %s", len(group), error)
            for waiting in group:
                await self._write(kept, [waiting])

    async def _commit(self, kept: KeptConnection, group: Sequence[_Waiting]) -> None:
        """Who named removed series hears so; the others are committed."""
        for _ in range(TRIES):
            bodies = {waiting.body.hash: waiting.body for waiting in group}
            if not bodies:
                return
            prepared = await _prepared(list(bodies.values()))
            started = time.monotonic()
            try:
                stored = await retried(partial(store, kept, self._epochs, prepared))
            except Stale as stale:
                _fail([one for one in group if one.body.hash in stale.hashes], stale)
                group = [one for one in group if one.body.hash not in stale.hashes]
            else:
                self._metrics.commit_seconds.observe(time.monotonic() - started)
                self._note(group, stored)
                return
        raise Overloaded("series are being removed", retry_after_s=2)

    def _note(self, group: Sequence[_Waiting], stored: Prepared) -> None:
        new = {body.hash for body in stored.bodies}
        self._metrics.flush_samples.observe(stored.samples)
        self._metrics.identical.inc(stored.identical)
        self._metrics.rows.labels("sample").inc(stored.samples)
        for kind in ("exemplar", "histogram"):
            rows = sum(len(getattr(body, f"{kind}s")) for body in stored.bodies)
            if rows:
                self._metrics.rows.labels(kind).inc(rows)
        if new:
            self._poison.note_success()
        for waiting in group:
            if not waiting.done.done():
                waiting.done.set_result(waiting.body.hash in new)
            new.discard(waiting.body.hash)  # of two equal bodies one counts


async def _prepared(bodies: Sequence[StoredBody]) -> Prepared:
    if sum(len(body.series_id) for body in bodies) <= INLINE_SAMPLES:
        return prepare(bodies)
    return await asyncio.to_thread(prepare, bodies)


def _fail(group: Sequence[_Waiting], error: Exception) -> None:
    for waiting in group:
        if not waiting.done.done():
            waiting.done.set_exception(error)
