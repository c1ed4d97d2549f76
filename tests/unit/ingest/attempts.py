"""What a call gives back, or how it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tsobs.errors import CallerError

__all__ = ["attempt"]


def attempt(call: Callable[..., Any], *args: Any) -> Any:
    """The result, or the CallerError; any other error fails the test."""
    try:
        return call(*args)
    except CallerError as refusal:
        return refusal
