"""Series and samples of remote-write, written as the service does: named statements, COPY."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from tests.integration.sql.observing import Connection
from tsobs.sqlfiles import query

__all__ = ["Sample", "Store", "bucket", "bytes_of"]

Labels = Mapping[str, str]
BUCKET_S = 300


class Sample(NamedTuple):
    """One value of one series."""

    time: datetime
    series_id: int
    value: float


def bucket(time: datetime) -> datetime:
    """The start of the five minutes that a time lies in."""
    seconds = int(time.timestamp()) // BUCKET_S * BUCKET_S
    return datetime.fromtimestamp(seconds, UTC)


def bytes_of(labels: Labels) -> uuid.UUID:
    """An identity: equal for equal label sets, as the service's own is."""
    return uuid.uuid5(uuid.NAMESPACE_OID, repr(sorted(labels.items())))


class Store:
    """Writes through one connection and reads what came of it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def fetch(self, name: str, *arguments: Any) -> list[Any]:
        """The first column of a named statement's rows."""
        return [row[0] for row in await self.connection.fetch(query(name), *arguments)]

    async def labels(self, *pairs: tuple[str, str]) -> list[int]:
        """Their ids."""
        names, values = [name for name, _ in pairs], [value for _, value in pairs]
        return await self.fetch("resolve_labels", names, values)

    async def series(self, *sets: Labels) -> list[int]:
        """Their ids."""
        pairs = sorted({pair for labels in sets for pair in labels.items()})
        ids = dict(zip(pairs, await self.labels(*pairs), strict=True))
        flat = [ids[pair] for labels in sets for pair in sorted(labels.items())]
        return await self.fetch(
            "resolve_series", [bytes_of(labels) for labels in sets], flat, [len(s) for s in sets]
        )

    async def copy(self, samples: Iterable[Sample]) -> None:
        """One transaction of the service: sorted, noted."""
        rows = sorted(samples, key=lambda one: (one.series_id, one.time))
        async with self.connection.transaction():
            await self.fetch("begin_sample_copy")
            await self.connection.copy_records_to_table(
                "sample",
                schema_name="tsobs_store",
                records=rows,
                columns=["time", "series_id", "value"],
            )
            await self.fetch("note_samples", sorted({bucket(one.time) for one in rows}))

    async def match(
        self,
        *matchers: tuple[str, str, str],
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> set[int]:
        """The ids of the series that match (name, op, value) of all."""
        names, ops, values = zip(*matchers, strict=True) if matchers else ((), (), ())
        rows = await self.connection.fetch(
            "select tsobs_store.match_series($1, $2, $3, $4, $5)",
            list(names),
            list(ops),
            list(values),
            since,
            until or datetime.now(UTC) + timedelta(days=1),
        )
        found = [row[0] for row in rows]
        assert len(found) == len(set(found))
        return set(found)

    async def age(self, series_ids: Sequence[int], hours: float) -> None:
        """As if nobody had touched them for so long."""
        await self.connection.execute(
            "update tsobs_store.series s set last_seen = now() - $2 * interval '1 hour'"
            " from (select series_id from tsobs_store.series where series_id = any ($1::bigint[])"
            " order by 1 for update) as old where s.series_id = old.series_id",
            list(series_ids),
            hours,
        )
