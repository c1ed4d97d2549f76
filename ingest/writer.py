"""Group commit: many senders' parcels are opened and flushed together, each sender hears when its
own is committed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from ingest.batch import Batch
from ingest.body import INLINE_BYTES
from ingest.flush import Moved, Outcome, Prepared, prepare, store
from ingest.names import Ids, Names
from ingest.parcel import Parcel
from ingest.quarrel import TRIES, is_quarrel, retried
from ingest.rows import Window
from ingest.selfmetrics import IngestMetrics
from tsobs.db import Database
from tsobs.errors import Overloaded, TsobsError

__all__ = ["Writer"]

log = logging.getLogger(__name__)

# A flush takes no more than this: one COPY of this size is as fast as a larger one.
GROUP_ROWS = 10_000
# What so many rows with all columns are as text.
GROUP_BYTES = 3 << 20
# After opening so much the loop sees to others first.
PAUSE_BYTES = 128 << 10
# So few rows are made ready in some milliseconds, and handing them to a thread costs as much again.
INLINE_ROWS = 1_000
# How long a batch waits when the one before it had no company.
LONE_S = 0.005
# How often the retention setting is read again.
RETENTION_TTL_S = 60.0


class Waiting(NamedTuple):
    """A parcel in the queue, since when (monotonic seconds), and who waits for its outcome."""

    parcel: Parcel
    since: float
    done: asyncio.Future[tuple[Batch, Outcome]]


class Opened(NamedTuple):
    """A batch taken out of its parcel."""

    batch: Batch
    done: asyncio.Future[tuple[Batch, Outcome]]


class Writer:
    """A bounded queue of parcels and the tasks that open and flush it. `run` until `stop`, which
    drains."""

    def __init__(
        self,
        database: Database,
        names: Names,
        metrics: IngestMetrics,
        opener: Callable[[Parcel], Batch],
        *,
        flush_s: float,
        queue_bytes: int,
        writers: int,
    ) -> None:
        self._database = database
        self._names = names
        self._metrics = metrics
        self._opener = opener
        self._flush_s = flush_s
        self._queue_bytes = queue_bytes
        self._writers = writers
        self._queue: deque[Waiting] = deque()
        self._held_bytes = 0
        self._queued_text_bytes = 0
        self._arrived = asyncio.Event()
        self._gathering = asyncio.Lock()
        self._stopping = False
        self._last_group = 0
        self._retention_s = 0.0
        self._retention_read_at = float("-inf")

    async def submit(self, parcel: Parcel) -> tuple[Batch, Outcome]:
        """Queues a parcel and waits until what is in it is committed; raises Overloaded when the
        queue is full, and what opening and storing raise."""
        if self._stopping:
            raise Overloaded("the service is stopping", retry_after_s=2)
        if self._held_bytes and self._held_bytes + len(parcel.body) > self._queue_bytes:
            self._metrics.overloads.inc()
            raise Overloaded("the queue is full", retry_after_s=2)
        done: asyncio.Future[tuple[Batch, Outcome]] = asyncio.get_running_loop().create_future()
        self._held_bytes += len(parcel.body)
        self._queued_text_bytes += parcel.text_bytes
        self._queue.append(Waiting(parcel, time.monotonic(), done))
        self._note_depth()
        self._arrived.set()
        try:
            return await done
        finally:
            # An error's traceback holds this frame, and the future holds the error: without a cut
            # the body would stay until the collector comes.
            del done

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
        # Nothing of a group may stay in a variable here while the next one is awaited.
        while await self._write(await self._take()):
            pass

    async def _write(self, group: Sequence[Waiting]) -> bool:
        """Opens and flushes a group; whether there was one."""
        try:
            for batches in _cut(await self._open(group)):
                await self._flush(batches)
        except Exception as error:
            log.exception("a flush failed")
            _fail(group, error)
        finally:
            self._held_bytes -= sum(len(waiting.parcel.body) for waiting in group)
            self._note_depth()
        return bool(group)

    async def _open(self, group: Sequence[Waiting]) -> list[Opened]:
        """The batches of a group; who sent what cannot be opened hears at once."""
        opened: list[Opened] = []
        unpaused = 0
        for parcel, _, done in group:
            unpaused += parcel.text_bytes
            try:
                if parcel.text_bytes > INLINE_BYTES:
                    batch = await asyncio.to_thread(self._opener, parcel)
                else:
                    batch = self._opener(parcel)
            except Exception as error:
                _note_unexpected(error)
                if not done.done():
                    done.set_exception(_bare(error))
            else:
                opened.append(Opened(batch, done))
            if unpaused > PAUSE_BYTES:
                unpaused = 0
                await asyncio.sleep(0)
        return opened

    async def _take(self) -> list[Waiting]:
        """The next group: when the oldest parcel has waited long enough or there is enough. Empty
        at the end."""
        async with self._gathering:
            while not self._queue:
                if self._stopping:
                    return []
                self._arrived.clear()
                await self._arrived.wait()
            # Who came alone last time will not meet company by waiting.
            linger_s = self._flush_s if self._last_group > 1 else min(self._flush_s, LONE_S)
            while self._queued_text_bytes < GROUP_BYTES and not self._stopping:
                left_s = self._queue[0].since + linger_s - time.monotonic()
                if left_s <= 0:
                    break
                self._arrived.clear()
                try:
                    await asyncio.wait_for(self._arrived.wait(), left_s)
                except TimeoutError:
                    break
            return self._pop()

    def _pop(self) -> list[Waiting]:
        group: list[Waiting] = []
        size = 0
        now = time.monotonic()
        while self._queue:
            more = self._queue[0].parcel.text_bytes
            if group and size + more > GROUP_BYTES:
                break
            waiting = self._queue.popleft()
            self._metrics.queue_wait.observe(now - waiting.since)
            size += more
            group.append(waiting)
        self._queued_text_bytes -= size
        self._last_group = len(group)
        return group

    def _note_depth(self) -> None:
        self._metrics.queue_batches.set(len(self._queue))
        self._metrics.queue_bytes.set(self._held_bytes)

    async def _flush(self, group: Sequence[Opened]) -> None:
        """Resolves, stores and answers a group; one that the database refuses is tried batch by
        batch."""
        known: list[Opened] = []
        ids: list[Ids] = []
        for opened in group:
            try:
                ids.append(await self._names.resolve(opened.batch))
                known.append(opened)
            except Overloaded as error:
                if is_quarrel(error):
                    _fail([opened], error)
                    continue
                # The database is away for all of them: none waits for its own time-out.
                self._metrics.failures.inc()
                _fail(group, error)
                return
            except Exception as error:
                _note_unexpected(error)
                _fail([opened], error)
        if not known:
            return
        try:
            await self._store(known, ids)
        except Overloaded as error:
            self._metrics.failures.inc()
            _fail(known, error)
        except Exception as error:
            self._metrics.failures.inc()
            _note_unexpected(error)
            if len(known) == 1:
                _fail(known, error)
                return
            log.warning("a flush of %d batches was refused, trying each: %s", len(known), error)
            for opened, one in zip(known, ids, strict=True):
                await self._store_alone(opened, one)

    async def _store_alone(self, opened: Opened, ids: Ids) -> None:
        try:
            await self._store([opened], [ids])
        except Exception as error:
            _note_unexpected(error)
            _fail([opened], error)

    async def _store(self, group: Sequence[Opened], ids: Sequence[Ids]) -> None:
        started = time.monotonic()
        outcomes = await self._store_known([opened.batch for opened in group], ids)
        self._metrics.commit_seconds.observe(time.monotonic() - started)
        self._metrics.note(outcomes)
        for (batch, done), outcome in zip(group, outcomes, strict=True):
            if not done.done():
                done.set_result((batch, outcome))

    async def _store_known(self, batches: Sequence[Batch], ids: Sequence[Ids]) -> list[Outcome]:
        """Stores under the keys that are right now; they are asked for again when jobs were parted
        meanwhile."""
        window = Window.around(time.time(), await self._retention())
        for _ in range(TRIES):
            prepared = await self._prepare(batches, ids, window)
            try:
                return await retried(partial(store, self._database, prepared))
            except Moved as moved:
                for batch, one in zip(batches, ids, strict=True):
                    self._names.forget(batch, one, moved.job_keys)
                ids = [await self._names.resolve(batch) for batch in batches]
        raise Overloaded("jobs are being parted", retry_after_s=2)

    async def _prepare(
        self, batches: Sequence[Batch], ids: Sequence[Ids], window: Window
    ) -> Prepared:
        if sum(sum(batch.rows.values()) for batch in batches) <= INLINE_ROWS:
            return prepare(batches, ids, window)
        return await asyncio.to_thread(prepare, batches, ids, window)

    async def _retention(self) -> float:
        if time.monotonic() - self._retention_read_at > RETENTION_TTL_S:
            self._retention_s = await self._database.fetchval("retention_seconds")
            self._retention_read_at = time.monotonic()
        return self._retention_s


def _note_unexpected(error: Exception) -> None:
    if not isinstance(error, TsobsError):
        log.error("a batch cannot be stored", exc_info=error)


def _cut(group: Sequence[Opened]) -> Iterator[list[Opened]]:
    """Pieces of GROUP_ROWS at most; a larger batch is a piece of its own."""
    piece: list[Opened] = []
    rows = 0
    for opened in group:
        more = sum(opened.batch.rows.values())
        if piece and rows + more > GROUP_ROWS:
            yield piece
            piece, rows = [], 0
        piece.append(opened)
        rows += more
    if piece:
        yield piece


def _bare(error: Exception) -> Exception:
    """Without what would hold the body in memory until its sender has the answer."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _fail(group: Sequence[Waiting | Opened], error: Exception) -> None:
    for one in group:
        if not one.done.done():
            one.done.set_exception(error)
