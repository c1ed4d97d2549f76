"""Lines that say what the demo is doing, each with the seconds since it began."""

from __future__ import annotations

import time
from collections.abc import Callable

from tsobs.output import complain

__all__ = ["Progress"]


class Progress:
    """Prints to standard error; call it with a line."""

    def __init__(
        self, write: Callable[[str], None] = complain, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._clock = clock
        self._begun = clock()

    def __call__(self, line: str) -> None:
        """One line."""
        self._write(f"[{self.elapsed_s:5.1f} s] {line}")

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._begun
