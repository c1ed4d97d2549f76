"""User names by uid, looked up beside the rounds: a directory service that hangs must not delay a
reading."""

from __future__ import annotations

import logging
import pwd
import queue
import threading
import time
from collections.abc import Callable

__all__ = ["Users"]

logger = logging.getLogger(__name__)

# A name not found may be there later (a new account, a directory service that came back).
_ASK_AGAIN_S = 300.0
# Local files answer at once: then the name is in the job's first batch.
_FIRST_WAIT_S = 0.05


class Users:
    """Resolves uids in a thread of its own and remembers the answers."""

    def __init__(self, lookup: Callable[[int], str] | None = None) -> None:
        self._lookup = lookup or (lambda uid: pwd.getpwuid(uid).pw_name)
        self._names: dict[int, tuple[str | None, float]] = {}
        self._asked: set[int] = set()
        self._questions: queue.Queue[int | None] = queue.Queue()
        self._answered = threading.Condition()
        self._thread: threading.Thread | None = None

    def name(self, uid: int) -> str | None:
        """Return the name of a uid; None while it is not known."""
        with self._answered:
            known = self._names.get(uid)
            if known is not None and (known[0] or time.monotonic() - known[1] < _ASK_AGAIN_S):
                return known[0]
            first = uid not in self._asked
            if first:
                self._asked.add(uid)
                self._ask(uid)
                self._answered.wait_for(lambda: uid not in self._asked, _FIRST_WAIT_S)
            return self._names.get(uid, (None, 0.0))[0]

    def is_nameless(self, uid: int) -> bool:
        """Tell whether it was answered that a uid has no name here."""
        with self._answered:
            return uid in self._names and self._names[uid][0] is None

    def close(self) -> None:
        """Let the thread end; may be called again."""
        self._questions.put(None)

    def _ask(self, uid: int) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._answer, name="users", daemon=True)
            self._thread.start()
        self._questions.put(uid)

    def _answer(self) -> None:
        while (uid := self._questions.get()) is not None:
            try:
                name: str | None = self._lookup(uid)
            except KeyError:
                name = None
            except OSError as failure:
                logger.warning("cannot look up uid %s: %s", uid, failure)
                name = None
            with self._answered:
                self._names[uid] = (name, time.monotonic())
                self._asked.discard(uid)
                self._answered.notify_all()
