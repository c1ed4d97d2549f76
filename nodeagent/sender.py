"""The thread that brings batches to the service: in order, one at a time, patient, and never in the
rounds' way."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Mapping
from typing import Any

from nodeagent.clock import CLOCK_TOLERANCE_S
from nodeagent.outbox import Outbox, Pending
from nodeagent.push import Answer, Client, Verdict

__all__ = ["Backoff", "Sender"]

logger = logging.getLogger(__name__)

_BACKOFF_MAX_S = 60.0
_BACKOFF_FIRST_S = 1.0
# Without it a full jitter near 0 would knock again at once.
_BACKOFF_MIN_S = 0.1
_WAIT_S = 3600.0
# Log the same trouble once in this time.
_REPEAT_S = 300.0


class Backoff:
    """How long to wait before trying again: exponential, full jitter, and not before the service
    says."""

    def __init__(self, rand: random.Random | None = None) -> None:
        self._random = rand or random.Random()
        self._failures = 0

    def succeed(self) -> None:
        """Begin anew after a success."""
        self._failures = 0

    def wait_s(self, answer: Answer) -> float:
        """Return the seconds to wait after a failure."""
        self._failures += 1
        bound = min(_BACKOFF_MAX_S, _BACKOFF_FIRST_S * 2 ** min(self._failures - 1, 10))
        if answer.denied:
            # Someone has to act first; asking often does not help.
            bound = _BACKOFF_MAX_S
        wait = max(_BACKOFF_MIN_S, self._random.uniform(0.0, bound))
        if answer.retry_after_s is not None:
            return answer.retry_after_s + min(wait, max(answer.retry_after_s, 1.0))
        return wait


class Sender:
    """Sends what the outbox holds until stopped."""

    def __init__(
        self, outbox: Outbox, client: Client, *, interval_s: float = 15.0, splay_s: float = 0.0
    ) -> None:
        self._outbox = outbox
        self._client = client
        self._interval_s = interval_s
        # Nodes read at the same moment, on the grid; each sends at its own moment after it.
        self._splay_s = splay_s
        self._stop = threading.Event()
        self._backoff = Backoff()
        self._said: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def drain(self, timeout_s: float) -> bool:
        """Stop when all is sent, at the latest after the timeout; tell whether nothing is left. May
        be called again."""
        self._outbox.hasten()
        deadline = time.monotonic() + timeout_s
        while len(self._outbox) and self._thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        self._stop.set()
        self._outbox.close()
        if self._thread.is_alive():
            self._thread.join(max(0.0, deadline - time.monotonic()))
        return not len(self._outbox)

    def send_one(self, item: Pending) -> float:
        """Send one batch and settle it; return how many seconds to wait before the next."""
        try:
            body = self._outbox.body(item)
        except (ValueError, FileNotFoundError) as damage:
            self._outbox.refuse(item, f"the copy on disk is damaged: {damage}")
            return 0.0
        except OSError as failure:
            return self._fail(Answer(Verdict.LATER, f"cannot read the spool: {failure}", {}))
        before = time.time()
        answer = self._client.post(body)
        self._note_clock(answer.document, before, time.time())
        if answer.verdict is Verdict.STORED:
            self._backoff.succeed()
            self._said.pop("later", None)
            self._note_rows(answer.document)
            self._outbox.acknowledge(item)
            return 0.0
        if answer.verdict is Verdict.REFUSED:
            self._outbox.refuse(item, answer.reason)
            return 0.0
        if answer.verdict is Verdict.CONFLICT and self._outbox.conflict(item):
            # The wait grows while conflicts go on: no new stream per millisecond.
            return self._backoff.wait_s(answer)
        return self._fail(answer)

    def _run(self) -> None:
        while not self._stop.is_set():
            item = self._outbox.head(_WAIT_S)
            if item is None or self._stop.is_set():
                continue
            self._outbox.wait_for_moment(self._splay_s - time.time() % self._interval_s)
            try:
                wait_s = self.send_one(item)
            except Exception:
                logger.exception("sending failed")
                wait_s = _BACKOFF_MAX_S
            if wait_s:
                self._stop.wait(wait_s)
        self._client.close()

    def _fail(self, answer: Answer) -> float:
        if answer.denied:
            self._client.forget_token()
            self._say(
                "denied",
                "the service does not accept the token (%s): data is kept;"
                " give --token-file a token with the scope 'agent'",
                answer.reason,
            )
        else:
            self._say("later", "cannot deliver (%s): data is kept, trying again", answer.reason)
        return self._backoff.wait_s(answer)

    def _note_clock(self, document: Mapping[str, Any], before: float, after: float) -> None:
        theirs = document.get("time")
        if isinstance(theirs, bool) or not isinstance(theirs, (int, float)):
            return
        offset_s = theirs - (before + after) / 2
        self._outbox.clock_offset_s = offset_s
        if abs(offset_s) > CLOCK_TOLERANCE_S:
            self._say(
                "clock",
                "this node's clock differs from the service's by %.0f s",
                -offset_s,
            )

    def _note_rows(self, document: Mapping[str, Any]) -> None:
        rejected = document.get("rejected_count")
        if rejected:
            self._say(
                "rows",
                "the service left out %s rows, the first: %s",
                rejected,
                str(document.get("rejected"))[:300],
            )
        ignored = document.get("ignored")
        if ignored:
            self._say("ignored", "the service does not know %s", ", ".join(map(str, ignored)))

    def _say(self, subject: str, text: str, *values: object) -> None:
        now = time.monotonic()
        if now - self._said.get(subject, float("-inf")) >= _REPEAT_S:
            self._said[subject] = now
            logger.warning(text, *values)
