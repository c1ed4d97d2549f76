"""How many jobs there are, by state, without counting all of history at each scrape."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from tsobs.db import Connection
from tsobs.viewer import Viewer

__all__ = ["STATES", "JobCounter", "JobCounts"]

STATES = ("pending", "running", "completed", "failed", "cancelled", "unknown")
_ALIVE = frozenset({"pending", "running"})
# Keys are given out before their rows are committed; later than this many keys, all are.
KEYS_IN_FLIGHT = 10_000
# The full count is repeated so rarely that it takes at most 1/200 of the time.
RECOUNT_S = 60.0
RECOUNT_SHARE = 200.0


class JobCounts(NamedTuple):
    """Jobs that are not deleted, by state; and how many there ever were."""

    by_state: Mapping[str, int]
    ever: int


class _Settled(NamedTuple):
    newest_key: int
    by_state: Mapping[str, int]
    ever: int
    due_s: float


class JobCounter:
    """Counts what is pending, running or new each time, and the ended ones about once a minute.

    `ever` is exact at each call, whichever process answers, so it is a counter; the ended ones of
    `by_state` may be a minute old.
    """

    def __init__(self) -> None:
        self._settled: dict[str | None, _Settled] = {}

    async def read(self, connection: Connection, viewer: Viewer) -> JobCounts:
        """The counts of what a viewer may see."""
        counts = dict.fromkeys(STATES, 0)
        if viewer.user is not None:
            rows = await connection.fetch("job_counts_of_user", viewer.cluster, viewer.user)
            counts.update({row["state"]: row["jobs"] for row in rows})
            return JobCounts(counts, sum(row["ever"] for row in rows))
        settled = self._settled.get(viewer.cluster)
        if settled is None or settled.due_s <= time.monotonic():
            settled = await _settle(connection, viewer.cluster)
            self._settled[viewer.cluster] = settled
        counts.update(settled.by_state)
        rows = await connection.fetch("job_counts_recent", viewer.cluster, settled.newest_key)
        for row in rows:
            counts[row["state"]] += row["jobs"]
        return JobCounts(counts, settled.ever + sum(row["ever"] for row in rows))


async def _settle(connection: Connection, cluster: str | None) -> _Settled:
    started_s = time.monotonic()
    newest_key = await connection.fetchval("newest_job_key") - KEYS_IN_FLIGHT
    rows = await connection.fetch("job_counts_settled", cluster, newest_key)
    ended_s = time.monotonic()
    return _Settled(
        newest_key=newest_key,
        by_state={row["state"]: row["jobs"] for row in rows if row["state"] not in _ALIVE},
        ever=sum(row["ever"] for row in rows),
        due_s=ended_s + max(RECOUNT_S, RECOUNT_SHARE * (ended_s - started_s)),
    )
