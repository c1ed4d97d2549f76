"""Keeps raw samples as long as the setting says, in whichever way the server can."""

from __future__ import annotations

import logging

from tsobs.db import connect, open_database, translated
from tsobs.errors import SetupError, TsobsError
from tsobs.periodic import keep_doing
from tsobs.sqlfiles import query

__all__ = ["keep_maintaining", "maintain_once", "set_retention"]

_log = logging.getLogger(__name__)

_INSUFFICIENT_PRIVILEGE = "42501"


async def maintain_once(url: str) -> int | None:
    """Drops chunks past their retention and returns how many; None when another is at it.

    Before, in small steps: rolls up samples of remote-write where the server does not, ends and
    removes series, and forgets bodies that no sender will send again. A server with policies drops
    by itself: there this sees that the policies exist, and returns 0.
    Raises Overloaded when the database is away.
    """
    async with open_database(
        url, role="tsobs_ingest", size=1, application_name="tsobs maintain"
    ) as database:
        # First what is counted from samples, then what drops them.
        for step in ("roll_samples", "end_series", "remove_series", "expire_bodies"):
            while await database.fetchval(step):
                pass
        dropped: int | None = await database.fetchval("maintain")
    return dropped


async def set_retention(url: str, days: float, setting: str = "metrics_retention_days") -> None:
    """Has the database keep samples for `days`; on a server with policies, changes them too.

    `setting` is metrics_retention_days, remote_write_retention_days or sample_5m_retention_days.

    Raises SetupError when that is another time than now and the URL's user may not change it.
    """
    async with connect(url, application_name="tsobs retention") as connection:
        try:
            with translated():
                if await connection.fetchval(query("has_retention"), days, setting):
                    return
                async with connection.transaction():
                    await connection.execute(query("become_owner"))
                    await connection.execute(query("set_retention"), days, setting)
        except TsobsError as error:
            if getattr(error.__cause__, "sqlstate", None) != _INSUFFICIENT_PRIVILEGE:
                raise
            raise SetupError(
                f"this database user may not set the retention of raw samples to {days:g} days: "
                "start the service once as a member of tsobs_owner, or leave "
                f"{setting.upper()} as the database has it"
            ) from error
    _log.info("%s is %g now", setting, days)


async def keep_maintaining(url: str, every_s: float) -> None:
    """Maintains every `every_s` seconds until cancelled; a failure is logged and tried again."""

    async def maintain() -> None:
        if dropped := await maintain_once(url):
            _log.info("dropped %d chunks of samples past their retention", dropped)

    await keep_doing("maintenance", maintain, every_s)
