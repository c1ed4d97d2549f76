"""The parts of the demo, and who notices when one of them ends although nobody stopped it."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from tsobs.errors import TsobsError

__all__ = ["Part", "PartFailed", "Watch"]

_log = logging.getLogger(__name__)


class PartFailed(TsobsError):
    """A part of the demo ended or cannot do its work; the message says which and why."""

    code = "demo_part_failed"


class Part(Protocol):
    """Something that runs beside the others."""

    name: str

    async def ended(self) -> str:
        """Returns, with the reason, when it ended although nobody stopped it."""


class Watch:
    """Watches parts; `failure` is done with the first one that ended by itself."""

    def __init__(self) -> None:
        self.failure: asyncio.Future[PartFailed] = asyncio.get_running_loop().create_future()

    def add(self, part: Part) -> asyncio.Task[None]:
        """Watches a part until the returned task is cancelled, which is before it is stopped."""
        return asyncio.create_task(self._watch(part), name=f"watch {part.name}")

    async def _watch(self, part: Part) -> None:
        try:
            reason = await part.ended()
        except TsobsError as error:
            reason = error.message
        except Exception as error:
            _log.exception("the %s failed", part.name)
            reason = repr(error)
        if not self.failure.done():
            self.failure.set_result(PartFailed(f"the {part.name} ended: {reason}"))
