"""Sleeping until the next look, a signal, or an event that the kernel reports on a job's file."""

from __future__ import annotations

import os
import select
from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["Watch"]


_NONE: Mapping[int, str] = MappingProxyType({})


class Watch:
    """A poll over a pipe of our own (to be woken by a signal) and over files of jobs."""

    def __init__(self) -> None:
        self._end, self._start = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def wake(self) -> None:
        """End the current or next wait; may be called from a signal handler."""
        try:
            os.write(self._start, b"x")
        except BlockingIOError:  # enough wake-ups are waiting already
            return

    def wait(
        self, timeout_s: float, files: Mapping[int, str], readable: Mapping[int, str] = _NONE
    ) -> set[int]:
        """Wait; return the descriptors of files that report something or are gone, and of what
        became readable. Files that report nothing never wake."""
        poll = select.poll()
        poll.register(self._end, select.POLLIN)
        for handle in files:
            poll.register(handle, select.POLLPRI)
        for handle in readable:
            poll.register(handle, select.POLLIN)
        # Rounded up: a wait that ends just before its time would only be repeated.
        events = poll.poll(max(0, int(timeout_s * 1000) + 1))
        return {handle for handle, _ in events if handle != self._end}

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._end)
        os.close(self._start)
