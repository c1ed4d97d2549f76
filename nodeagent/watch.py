"""Sleeping until the next look, a signal, or an event that the kernel reports on a job's file."""

from __future__ import annotations

import os
import select
from collections.abc import Mapping

__all__ = ["Watch"]


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

    def wait(self, timeout_s: float, handles: Mapping[int, str]) -> set[str]:
        """Wait; return the jobs whose file reports something or is gone. Files that report nothing
        never wake."""
        poll = select.poll()
        poll.register(self._end, select.POLLIN)
        for handle in handles:
            poll.register(handle, select.POLLPRI)
        # Rounded up: a wait that ends just before its time would only be repeated.
        events = poll.poll(max(0, int(timeout_s * 1000) + 1))
        return {handles[handle] for handle, _ in events if handle in handles}

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._end)
        os.close(self._start)
