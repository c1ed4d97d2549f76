"""Group commit: many senders' batches share one flush, each sender hears when its own is
committed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from ingest.batch import Batch
from ingest.flush import Outcome, prepare, store
from ingest.names import Ids, Names
from ingest.rows import Window
from ingest.selfmetrics import IngestMetrics
from tsobs.db import Database
from tsobs.errors import Overloaded, TsobsError

__all__ = ["Writer"]

log = logging.getLogger(__name__)

# A flush takes no more than this: one COPY of this size is as fast as a larger one.
GROUP_ROWS = 10_000
# How long a batch waits when the one before it had no company.
LONE_S = 0.005
# How often a flush that met a deadlock is tried.
TRIES = 3
# How often the retention setting is read again.
RETENTION_TTL_S = 60.0


class Writer:
    """A bounded queue of batches and the tasks that flush it. `run` until `stop`, which drains."""

    def __init__(
        self,
        database: Database,
        names: Names,
        metrics: IngestMetrics,
        *,
        flush_s: float,
        queue_bytes: int,
        writers: int,
    ) -> None:
        self._database = database
        self._names = names
        self._metrics = metrics
        self._flush_s = flush_s
        self._queue_bytes = queue_bytes
        self._writers = writers
        self._queue: deque[tuple[float, Batch]] = deque()
        self._held_bytes = 0
        self._queued_rows = 0
        self._arrived = asyncio.Event()
        self._gathering = asyncio.Lock()
        self._stopping = False
        self._last_group = 0
        self._retention_s = 0.0
        self._retention_read_at = float("-inf")

    async def submit(self, batch: Batch) -> Outcome:
        """Queues a batch and waits until it is committed; raises Overloaded when the queue is
        full."""
        if self._stopping:
            raise Overloaded("the service is stopping", retry_after_s=2)
        if self._held_bytes and self._held_bytes + batch.size_bytes > self._queue_bytes:
            self._metrics.overloads.inc()
            raise Overloaded("the queue is full", retry_after_s=2)
        self._held_bytes += batch.size_bytes
        self._queued_rows += sum(batch.rows.values())
        self._queue.append((time.monotonic(), batch))
        self._note_depth()
        self._arrived.set()
        outcome: Outcome = await batch.done
        return outcome

    async def run(self) -> None:
        """Flushes until stopped and drained."""
        async with asyncio.TaskGroup() as tasks:
            for n in range(self._writers):
                tasks.create_task(self._work(), name=f"writer-{n}")

    def stop(self) -> None:
        """Takes no more; what is queued is still written. May be called at any time, and again."""
        self._stopping = True
        self._arrived.set()

    async def _work(self) -> None:
        while group := await self._take():
            try:
                await self._flush(group)
            except Exception as error:
                log.exception("a flush failed")
                _fail(group, error)
            finally:
                self._held_bytes -= sum(batch.size_bytes for batch in group)
                self._note_depth()

    async def _take(self) -> list[Batch]:
        """The next group: when the oldest batch has waited long enough or the rows are enough.
        Empty at the
        end."""
        async with self._gathering:
            while not self._queue:
                if self._stopping:
                    return []
                self._arrived.clear()
                await self._arrived.wait()
            # Who came alone last time will not meet company by waiting.
            linger_s = self._flush_s if self._last_group > 1 else min(self._flush_s, LONE_S)
            while self._queued_rows < GROUP_ROWS and not self._stopping:
                left_s = self._queue[0][0] + linger_s - time.monotonic()
                if left_s <= 0:
                    break
                self._arrived.clear()
                try:
                    await asyncio.wait_for(self._arrived.wait(), left_s)
                except TimeoutError:
                    break
            return self._pop()

    def _pop(self) -> list[Batch]:
        group: list[Batch] = []
        rows = 0
        while self._queue:
            size = sum(self._queue[0][1].rows.values())
            if group and rows + size > GROUP_ROWS:
                break
            waited_at, batch = self._queue.popleft()
            self._metrics.queue_wait.observe(time.monotonic() - waited_at)
            rows += size
            group.append(batch)
        self._queued_rows -= rows
        self._last_group = len(group)
        return group

    def _note_depth(self) -> None:
        self._metrics.queue_batches.set(len(self._queue))
        self._metrics.queue_bytes.set(self._held_bytes)

    async def _flush(self, group: Sequence[Batch]) -> None:
        """Resolves, stores and answers a group; one that the database refuses is tried batch by
        batch."""
        batches: list[Batch] = []
        ids: list[Ids] = []
        for batch in group:
            try:
                ids.append(await self._names.resolve(batch))
                batches.append(batch)
            except Overloaded as error:
                if _is_passing_quarrel(error):
                    _fail([batch], error)
                    continue
                # The database is away for all of them: none waits for its own time-out.
                self._metrics.failures.inc()
                _fail(group, error)
                return
            except Exception as error:
                _note_unexpected(error)
                _fail([batch], error)
        if not batches:
            return
        try:
            await self._store(batches, ids)
        except Overloaded as error:
            self._metrics.failures.inc()
            _fail(batches, error)
        except Exception as error:
            self._metrics.failures.inc()
            _note_unexpected(error)
            if len(batches) == 1:
                _fail(batches, error)
                return
            log.warning("a flush of %d batches was refused, trying each: %s", len(batches), error)
            for batch, one in zip(batches, ids, strict=True):
                await self._store_alone(batch, one)

    async def _store_alone(self, batch: Batch, ids: Ids) -> None:
        try:
            await self._store([batch], [ids])
        except Exception as error:
            _note_unexpected(error)
            _fail([batch], error)

    async def _store(self, batches: Sequence[Batch], ids: Sequence[Ids]) -> None:
        window = Window.around(time.time(), await self._retention())
        prepared = await asyncio.to_thread(prepare, batches, ids, window)
        started = time.monotonic()
        outcomes = await self._try_store(prepared)
        self._metrics.commit_seconds.observe(time.monotonic() - started)
        self._metrics.note(outcomes)
        for batch, outcome in zip(batches, outcomes, strict=True):
            if not batch.done.done():
                batch.done.set_result(outcome)

    async def _try_store(self, prepared: Any) -> list[Outcome]:
        for left in reversed(range(TRIES)):
            try:
                return await store(self._database, prepared)
            except Overloaded as error:
                if not left or not _is_passing_quarrel(error):
                    raise
        raise AssertionError("unreachable")

    async def _retention(self) -> float:
        if time.monotonic() - self._retention_read_at > RETENTION_TTL_S:
            self._retention_s = await self._database.fetchval("retention_seconds")
            self._retention_read_at = time.monotonic()
        return self._retention_s


def _is_passing_quarrel(error: Overloaded) -> bool:
    """A deadlock or a serialization failure: passes when tried again at once."""
    return str(error.details.get("sqlstate", "")).startswith("40")


def _note_unexpected(error: Exception) -> None:
    if not isinstance(error, TsobsError):
        log.error("a batch cannot be stored", exc_info=error)


def _fail(batches: Sequence[Batch], error: Exception) -> None:
    for batch in batches:
        if not batch.done.done():
            batch.done.set_exception(error)
