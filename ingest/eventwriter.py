"""Group commit of events: what arrives while others are written shares the next transaction."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from ingest.eventmetrics import EventMetrics
from ingest.observation import Observation, columns_of, order_of
from ingest.quarrel import retried
from tsobs.db import Database, Record
from tsobs.errors import Overloaded, TsobsError

__all__ = ["EventWriter"]

log = logging.getLogger(__name__)

# More share no more: the commit is then a small part of the time.
GROUP = 64
# Held in memory at the most; each waits for its answer, so this bounds requests, too.
QUEUE = 4_096


class _Waiting(NamedTuple):
    observation: Observation
    outcome: asyncio.Future[str]


class EventWriter:
    """A bounded queue of observations and the tasks that commit it. `run` until `stop`, which
    drains."""

    def __init__(self, database: Database, metrics: EventMetrics, *, writers: int) -> None:
        self._database = database
        self._metrics = metrics
        self._writers = writers
        self._queue: deque[_Waiting] = deque()
        self._arrived = asyncio.Condition()
        self._stopping = False

    async def submit(self, observation: Observation) -> str:
        """Commits one and returns created, updated or skipped; raises Overloaded when too many
        wait."""
        if self._stopping or len(self._queue) >= QUEUE:
            self._metrics.overloads.inc()
            raise Overloaded("too many events wait", retry_after_s=2)
        outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(observation, outcome))
        self._metrics.queue.set(len(self._queue))
        async with self._arrived:
            self._arrived.notify()
        return await outcome

    async def run(self) -> None:
        """Commits until stopped and drained."""
        async with asyncio.TaskGroup() as tasks:
            for n in range(self._writers):
                tasks.create_task(self._work(), name=f"event-writer-{n}")

    async def stop(self) -> None:
        """Takes no more; what is queued is still committed."""
        self._stopping = True
        async with self._arrived:
            self._arrived.notify_all()

    async def _work(self) -> None:
        while group := await self._take():
            try:
                await self._write(group)
            except Exception as error:
                log.exception("events cannot be written")
                _fail(group, error)

    async def _take(self) -> list[_Waiting]:
        async with self._arrived:
            await self._arrived.wait_for(lambda: self._queue or self._stopping)
            count = min(GROUP, len(self._queue))
            group = [self._queue.popleft() for _ in range(count)]
            self._metrics.queue.set(len(self._queue))
        return sorted(group, key=lambda waiting: order_of(waiting.observation))

    async def _write(self, group: Sequence[_Waiting]) -> None:
        """All in one transaction; when the database refuses that, each in its own."""
        try:
            await self._commit(group)
        except Overloaded as error:
            self._metrics.failures.inc()
            _fail(group, error)
        except TsobsError as error:
            if len(group) == 1:
                _fail(group, error)
                return
            log.warning("%d events were refused together, trying each: %s", len(group), error)
            for waiting in group:
                await self._write([waiting])

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        columns = columns_of(waiting.observation for waiting in group)
        started = time.monotonic()
        rows: list[Record] = await retried(partial(self._database.fetch, "observe_jobs", *columns))
        self._metrics.commit_seconds.observe(time.monotonic() - started)
        self._metrics.group.observe(len(group))
        for waiting, row in zip(group, rows, strict=True):
            self._metrics.events.labels(row["outcome"]).inc()
            if not waiting.outcome.done():
                waiting.outcome.set_result(row["outcome"])


def _fail(group: Sequence[_Waiting], error: Exception) -> None:
    for waiting in group:
        if not waiting.outcome.done():
            waiting.outcome.set_exception(error)
