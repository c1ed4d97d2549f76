"""Ctrl-C and SIGTERM: the first one ends the demo in order, later ones must not disturb that."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Signals"]

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


def _nothing() -> None:
    """A reaction for when the end is under way already."""


class Signals:
    """While installed and nothing else was said, the first signal raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._react: Callable[[], None] | None = None

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Handles both signals; afterwards they are handled as before."""
        before = {number: signal.signal(number, self._on) for number in _NUMBERS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def setting(self, event: asyncio.Event) -> Iterator[None]:
        """Lets a signal set the event of the running loop; afterwards signals do nothing."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            # Not event.set(): a handler runs between any two steps of the loop.
            loop.call_soon_threadsafe(event.set)

        self._react = wake
        try:
            yield
        finally:
            self._react = _nothing

    def ignore(self) -> None:
        """From now on signals are noted and do nothing."""
        self._react = _nothing

    def exit_status(self, otherwise: int) -> int:
        """The exit status that a shell gives to a program ended by the signal."""
        return otherwise if self.received is None else 128 + self.received

    def _on(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            return
        self.received = signal.Signals(number)
        if self._react is None:
            raise KeyboardInterrupt
        self._react()
