"""Tells a body that can never be stored from a database that cannot store anything now: a sender
that hears 503 repeats the same bytes for ever."""

from __future__ import annotations

import logging
from collections import OrderedDict
from uuid import UUID

from tsobs.errors import CallerError, InvalidRequest, Overloaded, TsobsError

__all__ = ["Poison"]

log = logging.getLogger(__name__)

# So often a body may fail alone while others are stored.
ATTEMPTS = 3
KEPT = 1_000


class Poison:
    """Counts failures by body; the database's own word on bad data needs no counting."""

    def __init__(self) -> None:
        # By body: how often it failed, and how many commits there had been at the last failure.
        self._failed: OrderedDict[UUID, tuple[int, int]] = OrderedDict()
        self._commits = 0

    def note_success(self) -> None:
        """Something was committed: the database works."""
        self._commits += 1

    def judged(self, body: UUID, error: Exception) -> Exception:
        """What the sender of a body that failed alone is told."""
        if isinstance(error, CallerError):
            return error
        log.error("a body cannot be stored", exc_info=error)
        times, commits = self._failed.pop(body, (0, -1))
        if self._commits > commits:
            times += 1
        if times >= ATTEMPTS:
            return InvalidRequest("this body cannot be stored", field="body", rule="storable")
        self._failed[body] = (times, self._commits)
        while len(self._failed) > KEPT:
            self._failed.popitem(last=False)
        why = error.message if isinstance(error, TsobsError) else type(error).__name__
        return Overloaded(f"the body cannot be stored now: {why}", retry_after_s=5)
