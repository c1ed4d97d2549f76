"""A program that may hang: started, spoken to with a time limit, and let go of without a wait."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Sequence

__all__ = ["Child", "Silent", "output_of"]

_PAGE_BYTES = 65_536


class Silent(Exception):
    """The program did not answer in time, or ended; the text says which."""


class Child:
    """A running program with pipes to its stdin and from its stdout; what it writes to stderr is
    dropped. OSError from the constructor when it cannot be started."""

    def __init__(self, arguments: Sequence[str], most_bytes: int = 16 * 1024**2) -> None:
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        quiet = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        actions = (
            (os.POSIX_SPAWN_DUP2, theirs_in, 0),
            (os.POSIX_SPAWN_DUP2, theirs_out, 1),
            (os.POSIX_SPAWN_DUP2, quiet, 2),
        )
        self._in, self._out = ours_in, ours_out
        self._most_bytes = most_bytes
        self._waiting = b""
        self._is_ended = False
        self._status = -1
        try:
            # A group of its own: what it starts ends with it. No file of ours goes with it, least
            # of all the lock of the state folder.
            self.pid = os.posix_spawnp(
                arguments[0], list(arguments), _environment(), file_actions=actions, setpgroup=0
            )
        except OSError:
            self._close()
            raise
        finally:
            for handle in (theirs_in, theirs_out, quiet):
                os.close(handle)
        os.set_blocking(self._out, False)

    def say(self, line: bytes) -> None:
        """Write a line to it; Silent when it does not take it."""
        try:
            os.write(self._out, line + b"\n")
        except OSError as failure:
            raise Silent(f"it takes no word: {failure.strerror}") from failure

    def line(self, until: float) -> bytes:
        """Return its next line; Silent when there is none by `until` (monotonic clock)."""
        while True:
            line, newline, rest = self._waiting.partition(b"\n")
            if newline:
                self._waiting = rest
                return line
            if not self._more(until):
                raise Silent("it has ended")

    def rest(self, until: float) -> bytes:
        """Return all that it writes to its end; Silent when it goes on after `until`."""
        while self._more(until):
            pass
        return self._waiting

    def exit_status(self, until: float) -> int:
        """Return how it ended; Silent when it has not by `until`."""
        while not self.is_over():
            if time.monotonic() >= until:
                raise Silent("it does not end")
            time.sleep(0.005)
        return self._status

    def is_over(self) -> bool:
        """Tell whether it is gone; one that hangs in the driver stays after it was killed."""
        if not self._is_ended:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = self.pid, 0
            self._is_ended = pid != 0
            self._status = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1
        return self._is_ended

    def end(self) -> None:
        """Kill it and whatever it started, and do not wait for that; may be called again."""
        if not self.is_over():
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)
        self._close()
        self.is_over()

    def _more(self, until: float) -> bool:
        if not select.select([self._in], [], [], max(0.0, until - time.monotonic()))[0]:
            raise Silent("it does not answer")
        part = os.read(self._in, _PAGE_BYTES)
        self._waiting += part
        if len(self._waiting) > self._most_bytes:
            raise Silent("it says too much")
        return bool(part)

    def _close(self) -> None:
        if self._in >= 0:
            os.close(self._in)
            os.close(self._out)
            self._in = self._out = -1


def output_of(arguments: Sequence[str], limit_s: float) -> tuple[int, str]:
    """Run a command; return its exit status and what it wrote. Silent after `limit_s`, OSError when
    it cannot be started."""
    until = time.monotonic() + limit_s
    child = Child(arguments)
    try:
        text = child.rest(until)
        return child.exit_status(until), text.decode("utf-8", "replace")
    finally:
        child.end()


def _environment() -> dict[str, str]:
    # In words that do not depend on the site's language; and no variable that hides devices.
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_DEVICES")}
    return {**kept, "LC_ALL": "C"}
