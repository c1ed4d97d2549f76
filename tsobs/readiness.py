"""Before serving: waits for the database, migrates it when asked, and checks its schema."""

from __future__ import annotations

import asyncio
import logging
import time

from tsobs.errors import Overloaded, SetupError
from tsobs.migrate import check_schema, migrate
from tsobs.settings import Settings
from tsobs.settingsdoc import mask

__all__ = ["PATIENCE_S", "prepare_database"]

# A database that is started together with the service needs seconds, after a crash some more.
PATIENCE_S = 30.0
_RETRY_S = 1.0

_log = logging.getLogger(__name__)


async def prepare_database(settings: Settings, *, patience_s: float = PATIENCE_S) -> str:
    """The URL of the database, once it answers with this version's schema; else SetupError."""
    if settings.database_url is None:
        raise SetupError("database_url is not set: give DATABASE_URL, or run `tsobs db start`")
    deadline = time.monotonic() + patience_s
    await _prepare(settings.database_url, deadline, migrating=settings.migrate)
    if settings.read_database_url is not None:
        # A replica gets its schema from the primary, perhaps a moment later.
        await _prepare(settings.read_database_url, deadline, migrating=False)
    return settings.database_url


async def _prepare(url: str, deadline: float, *, migrating: bool) -> None:
    waiting = False
    while True:
        try:
            if migrating:
                for name in await migrate(url):
                    _log.info("migrated: %s", name)
            await check_schema(url)
        except Overloaded as error:
            if time.monotonic() >= deadline:
                raise _gave_up(url, error) from error
            if not waiting:
                _log.warning("waiting for the database at %s: %s", mask(url), _reason(error))
                waiting = True
            await asyncio.sleep(_RETRY_S)
        else:
            return


def _reason(error: Overloaded) -> str:
    return str(error.__cause__ or error) or type(error.__cause__).__name__


def _gave_up(url: str, error: Overloaded) -> SetupError:
    return SetupError(
        f"the database at {mask(url)} does not answer ({_reason(error)}): start it "
        "(the embedded one with `tsobs db start`), or correct DATABASE_URL"
    )
