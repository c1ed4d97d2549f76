"""Several processes on one port: starts them, starts the dead ones again, and stops them all.

The parent has no database and no event loop; it waits for signals and for its children. It keeps
the sockets, so connections that reach a worker as it dies wait for the next one. A worker that sees
the end of the lifeline pipe knows that its parent is gone.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tsobs.listen import Listeners

__all__ = ["Worker", "supervise"]

# A worker that dies again and again is started after 1, 2, 4, … 30 s; one that lived long, after 1.
_FIRST_DELAY_S = 1.0
_LONGEST_DELAY_S = 30.0
_LIVED_S = 60.0
# Draining takes up to the grace for requests and as much for closing connections; then comes KILL.
_KILL_MARGIN_S = 10.0

_log = logging.getLogger(__name__)


class Worker(NamedTuple):
    """What a worker process is given: its number, its sockets, and the pipes to its parent."""

    number: int
    listeners: Listeners
    lifeline: int
    ready_pipe: int

    def tell_ready(self) -> None:
        """Tells the parent that this worker serves."""
        os.write(self.ready_pipe, bytes([self.number]))


def supervise(
    listeners: Sequence[Listeners],
    work: Callable[[Worker], int],
    *,
    ready: Callable[[], None],
    grace_s: float,
) -> int:
    """Runs `work` in one process for each of `listeners` until SIGTERM or SIGINT; the exit status.

    Must be called with a single thread. Ends with 1 when a worker cannot start the first time.
    """
    return _Supervisor(listeners, work, ready, grace_s).run()


@dataclasses.dataclass(slots=True)
class _Child:
    number: int
    started: float
    ready: bool = False


class _Supervisor:
    def __init__(
        self,
        listeners: Sequence[Listeners],
        work: Callable[[Worker], int],
        ready: Callable[[], None],
        grace_s: float,
    ) -> None:
        self._listeners = listeners
        self._work = work
        self._ready = ready
        self._grace_s = grace_s
        self._children: dict[int, _Child] = {}
        self._due: dict[int, float] = dict.fromkeys(range(len(listeners)), 0.0)
        self._delay_s: dict[int, float] = {}
        self._all_ready = False
        self._stopping = False
        self._kill_at = float("inf")
        self._status = 0
        self._wake_r, self._wake_w = os.pipe()
        self._ready_r, self._ready_w = os.pipe()
        self._life_r, self._life_w = os.pipe()

    def run(self) -> int:
        for fd in (self._wake_r, self._wake_w, self._ready_r):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(self._wake_w, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        while self._children or not self._stopping:
            self._start_due()
            self._wait()
            self._read_signals()
            self._read_ready()
            self._reap()
            self._kill_late()
        return self._status

    def _wait(self) -> None:
        upcoming = min([*self._due.values(), self._kill_at])
        timeout = None if upcoming == float("inf") else max(0.0, upcoming - time.monotonic())
        select.select([self._wake_r, self._ready_r], [], [], timeout)

    def _start_due(self) -> None:
        now = time.monotonic()
        for number in [number for number, due in self._due.items() if due <= now]:
            del self._due[number]
            self._start(number)

    def _start(self, number: int) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._be_child(number)
        self._children[pid] = _Child(number, time.monotonic())

    def _be_child(self, number: int) -> None:
        """Runs the work in the child and never returns."""
        status = 70
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            # Ctrl-C reaches the whole group; the parent passes it on once, as SIGTERM.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            for fd in (self._wake_r, self._wake_w, self._ready_r, self._life_w):
                os.close(fd)
            for other, listeners in enumerate(self._listeners):
                if other != number:
                    listeners.close()
            worker = Worker(number, self._listeners[number], self._life_r, self._ready_w)
            status = self._work(worker)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _read_signals(self) -> None:
        try:
            seen = os.read(self._wake_r, 4096)
        except BlockingIOError:
            return
        if signal.SIGINT in seen:
            self._status = 128 + signal.SIGINT
        if signal.SIGTERM in seen or signal.SIGINT in seen:
            self._stop()

    def _read_ready(self) -> None:
        try:
            numbers = os.read(self._ready_r, 4096)
        except BlockingIOError:
            return
        for child in self._children.values():
            child.ready = child.ready or child.number in numbers
        serving = sum(child.ready for child in self._children.values())
        if not self._all_ready and serving == len(self._listeners):
            self._all_ready = True
            self._ready()

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            child = self._children.pop(pid, None)
            if child is not None:
                self._ended(child, os.waitstatus_to_exitcode(status))

    def _ended(self, child: _Child, code: int) -> None:
        if self._stopping:
            return
        if not self._all_ready and not child.ready:
            self._status = 1
            self._stop()
            return
        lived_s = time.monotonic() - child.started
        before_s = 0.0 if lived_s > _LIVED_S else self._delay_s.get(child.number, 0.0)
        delay_s = min(max(_FIRST_DELAY_S, 2 * before_s), _LONGEST_DELAY_S)
        self._delay_s[child.number] = delay_s
        self._due[child.number] = time.monotonic() + delay_s
        _log.error("worker %d ended with %d: again in %.0f s", child.number, code, delay_s)

    def _stop(self) -> None:
        """Asks the workers to drain; asked again, they stop at once."""
        self._stopping = True
        self._due.clear()
        # Ours, too: as long as one copy is open, new connections would wait for nobody.
        for listeners in self._listeners:
            listeners.close()
        for pid in self._children:
            os.kill(pid, signal.SIGTERM)
        self._kill_at = time.monotonic() + 2 * self._grace_s + _KILL_MARGIN_S

    def _kill_late(self) -> None:
        if time.monotonic() >= self._kill_at:
            self._kill_at = float("inf")
            for pid in self._children:
                _log.error("worker process %d does not stop: killed", pid)
                os.kill(pid, signal.SIGKILL)
