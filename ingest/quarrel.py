"""Deadlocks and serialization failures: they pass when the transaction is tried again at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tsobs.errors import Overloaded

__all__ = ["TRIES", "is_quarrel", "retried"]

TRIES = 3

Result = TypeVar("Result")


def is_quarrel(error: Overloaded) -> bool:
    """Whether other transactions were in the way, and not the database away."""
    return str(error.details.get("sqlstate", "")).startswith("40")


async def retried(transaction: Callable[[], Awaitable[Result]]) -> Result:
    """What a whole transaction returns, tried up to TRIES times; raises what it raises."""
    for left in reversed(range(TRIES)):
        try:
            return await transaction()
        except Overloaded as error:
            if not left or not is_quarrel(error):
                raise
    raise AssertionError("unreachable")
