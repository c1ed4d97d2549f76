"""Jobs whose end nobody reports: ended as lost when no agent sees them any more."""

from __future__ import annotations

import logging

from prometheus_client import CollectorRegistry, Counter

from tsobs.db import Database, open_database
from tsobs.periodic import keep_doing

__all__ = ["LostJobs", "lose_jobs_once"]

_log = logging.getLogger(__name__)


async def lose_jobs_once(url: str) -> int | None:
    """Ends what is lost and returns how many jobs that were; None when another is at it. Raises
    Overloaded when the database is away."""
    async with open_database(
        url, role="tsobs_ingest", size=1, application_name="tsobs maintain"
    ) as database:
        return await _lose(database)


async def _lose(database: Database) -> int | None:
    lost: int | None = await database.fetchval("lose_jobs")
    return lost


class LostJobs:
    """Looks for lost jobs again and again, and counts them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lost = Counter(
            "tsobs_jobs_lost",
            "Jobs ended as unknown because no agent sees them any more.",
            registry=registry,
        )

    async def keep_looking(self, url: str, every_s: float) -> None:
        """Looks every `every_s` seconds until cancelled; a failure is logged and tried again."""

        async def look() -> None:
            if lost := await lose_jobs_once(url):
                self._lost.inc(lost)
                _log.info("%d jobs are no longer seen, and end as lost", lost)

        await keep_doing("the look for lost jobs", look, every_s)
