"""Label sets to series ids: what is new is made, by as few statements as possible, on a connection
of its own beside the writers'."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from ingest.quarrel import retried
from ingest.remotewrite.epochs import Epochs
from ingest.remotewrite.remotemetrics import RemoteWriteMetrics
from tsobs.db import Database
from tsobs.errors import Overloaded, TsobsError

__all__ = ["Labels", "Resolver"]

log = logging.getLogger(__name__)

# Sorted by name, without empty values.
Labels = tuple[tuple[str, str], ...]

# In one statement and transaction, which holds locks on what it makes.
SERIES_AT_ONCE = 2_000
# Ids of labels remembered.
KEPT_LABELS = 200_000


class _Asked(NamedTuple):
    series: Mapping[UUID, Labels]
    found: asyncio.Future[Mapping[UUID, int]]


class Resolver:
    """A queue of label sets and the task that resolves them together. `run` until `stop`."""

    def __init__(self, database: Database, epochs: Epochs, metrics: RemoteWriteMetrics) -> None:
        self._database = database
        self._epochs = epochs
        self._metrics = metrics
        self._labels: dict[tuple[str, str], int] = {}
        self._queue: list[_Asked] = []
        self._arrived = asyncio.Event()
        self._stopping = False

    async def resolve(self, series: Mapping[UUID, Labels]) -> Mapping[UUID, int]:
        """The ids of label sets by identity; raises what the database does to this request."""
        if self._stopping:
            raise Overloaded("the service is stopping", retry_after_s=2)
        found: asyncio.Future[Mapping[UUID, int]] = asyncio.get_running_loop().create_future()
        self._queue.append(_Asked(series, found))
        self._arrived.set()
        return await found

    def forget(self, series_ids: Collection[int] | None) -> None:
        """Some series, or all, are gone, and labels may be gone with them."""
        self._labels.clear()

    def stop(self) -> None:
        """Takes no more; what is queued is still resolved."""
        self._stopping = True
        self._arrived.set()

    async def run(self) -> None:
        """Resolves until stopped and drained."""
        while True:
            while not self._queue:
                if self._stopping:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            group = self._pop()
            try:
                await self._resolve_all(group)
            except Exception as error:
                log.exception("series cannot be resolved")
                _fail(group, error)

    def _pop(self) -> list[_Asked]:
        """What waits, up to about SERIES_AT_ONCE: who asks for a few waits for one statement."""
        size = count = 0
        for asked in self._queue:
            size += len(asked.series)
            count += 1
            if size >= SERIES_AT_ONCE:
                break
        group, self._queue = self._queue[:count], self._queue[count:]
        return group

    async def _resolve_all(self, group: Sequence[_Asked]) -> None:
        """Answers all; when the database refuses the group's data, each is tried alone."""
        try:
            wanted = {key: labels for asked in group for key, labels in asked.series.items()}
            found = await self._ids(wanted)
        except Overloaded as error:
            _fail(group, error)
        except TsobsError as error:
            if len(group) == 1:
                _fail(group, error)
                return
            log.warning("%d requests' series were refused, trying each: %s", len(group), error)
            for asked in group:
                await self._resolve_all([asked])
        else:
            for asked in group:
                if not asked.found.done():
                    asked.found.set_result({key: found[key] for key in asked.series})

    async def _ids(self, wanted: Mapping[UUID, Labels]) -> Mapping[UUID, int]:
        found: dict[UUID, int] = {}
        missing = iter(wanted.items())
        while part := list(islice(missing, SERIES_AT_ONCE)):
            found |= await self._ask(part)
        return found

    async def _ask(self, series: Sequence[tuple[UUID, Labels]]) -> Mapping[UUID, int]:
        labels = await self._label_ids({pair for _, labels in series for pair in labels})
        identities = [identity for identity, _ in series]
        flat = [labels[pair] for _, pairs in series for pair in pairs]
        counts = [len(pairs) for _, pairs in series]

        async def ask() -> Sequence[int]:
            rows = await self._database.fetch("resolve_series", identities, flat, counts)
            return [row["series_id"] for row in rows]

        found = dict(zip(identities, await retried(ask), strict=True))
        self._metrics.resolved.inc(len(found))
        return found

    async def _label_ids(self, pairs: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], int]:
        found = {pair: self._labels[pair] for pair in pairs if pair in self._labels}
        missing = [pair for pair in pairs if pair not in found]
        if not missing:
            return found
        epoch = self._epochs.known
        names, values = [name for name, _ in missing], [value for _, value in missing]

        async def ask() -> Sequence[int]:
            rows = await self._database.fetch("resolve_labels", names, values)
            return [row["label_id"] for row in rows]

        new = dict(zip(missing, await retried(ask), strict=True))
        # Of removals that were noticed meanwhile these ids know nothing.
        if epoch == self._epochs.known:
            _make_room(self._labels, KEPT_LABELS - len(new))
            self._labels.update(new)
        return found | new


def _make_room(entries: dict[Any, int], limit: int) -> None:
    """Drops the oldest entries past a limit."""
    past = len(entries) - max(limit, 0)
    for key in list(islice(entries, max(past, 0))):
        del entries[key]


def _fail(group: Sequence[_Asked], error: Exception) -> None:
    for asked in group:
        if not asked.found.done():
            asked.found.set_exception(error)
