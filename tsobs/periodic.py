"""Work that a service does beside serving, again and again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from tsobs.errors import TsobsError

__all__ = ["keep_doing"]

_log = logging.getLogger(__name__)


async def keep_doing(what: str, step: Callable[[], Awaitable[None]], every_s: float) -> None:
    """Does a step, and again every `every_s` seconds after its end, until cancelled; a failure is
    logged, naming `what`, and tried again."""
    while True:
        try:
            await step()
        except TsobsError as error:
            _log.warning("%s failed, again in %g s: %s", what, every_s, error)
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # The driver answers a cancellation now and then with a time-out, or with its result.
            raise asyncio.CancelledError
        await asyncio.sleep(every_s)
