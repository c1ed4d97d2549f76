"""What metrics mean (type, help, unit), written when it is news."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

from ingest.quarrel import retried
from tsobs.db import Database

__all__ = ["Meaning", "MetadataStore"]

# Type, help and unit of a metric.
Meaning = tuple[str, str, str]

# Metrics whose meaning is known to be written; of each only a hash is kept.
KEPT = 100_000


class MetadataStore:
    """Writes metadata, and remembers what was written."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._written: dict[str, int] = {}

    async def put(self, entries: Iterable[tuple[str, Meaning]]) -> None:
        """Writes what is news, by metric; the last of several counts. Raises what the database
        does."""
        told = dict(entries)
        news = {
            metric: meaning
            for metric, meaning in told.items()
            if self._written.get(metric) != hash(meaning)
        }
        if not news:
            return
        await self._write(dict(sorted(news.items())))
        for metric in list(islice(self._written, max(len(self._written) + len(news) - KEPT, 0))):
            del self._written[metric]
        self._written.update((metric, hash(meaning)) for metric, meaning in news.items())

    async def _write(self, news: Mapping[str, Meaning]) -> None:
        columns = [list(column) for column in zip(*news.values(), strict=True)]

        async def write() -> None:
            await self._database.execute("put_metadata", list(news), *columns)

        await retried(write)
