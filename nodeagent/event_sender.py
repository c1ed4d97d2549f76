"""The thread that sends hooks' spooled events: a few at a time, beside the rounds, patient."""

from __future__ import annotations

import http.client
import logging
import threading
import time

from nodeagent.event_spool import EventSpool, SpooledEvent
from nodeagent.push import Answer, Client, Response, Verdict
from nodeagent.sender import Backoff

__all__ = ["EventSender"]

logger = logging.getLogger(__name__)

# How often the folder is looked at, and how many events one look sends at most.
_LOOK_S = 5.0
_MOST_AT_ONCE = 50
# 4xx that no later attempt will change.
_REFUSALS = frozenset({400, 404, 409, 413, 422})
_REPEAT_S = 3600.0
_REASON_MAX = 500


class EventSender:
    """Sends what lies in the folder until stopped."""

    def __init__(self, spool: EventSpool, client: Client) -> None:
        self._spool = spool
        self._client = client
        self._stop = threading.Event()
        self._backoff = Backoff()
        self._said: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the event that is on its way; it is not waited for."""
        self._stop.set()

    def send_some(self) -> float:
        """Send some of what waits; return how many seconds to wait before the next look."""
        try:
            waiting = self._spool.waiting()
        except FileNotFoundError:
            return _LOOK_S
        except OSError as failure:
            self._say("folder", "cannot read the hooks' events: %s", failure)
            return _LOOK_S
        for path in waiting[:_MOST_AT_ONCE]:
            event = None if self._stop.is_set() else self._spool.claim(path)
            if event is not None:
                wait_s = self._send(event)
                if wait_s:
                    return max(_LOOK_S, wait_s)
        return 0.1 if len(waiting) > _MOST_AT_ONCE else _LOOK_S

    def _run(self) -> None:
        wait_s = 0.0
        while not self._stop.wait(wait_s):
            try:
                wait_s = self.send_some()
            except Exception:
                logger.exception("sending events failed")
                wait_s = _LOOK_S
        self._client.close()

    def _send(self, event: SpooledEvent) -> float:
        """Send one event and settle it; return how long to wait, 0 when the next may follow."""
        try:
            answer = self._client.request("POST", f"/v1/events/{event.kind}", event.body)
        except (OSError, http.client.HTTPException) as failure:
            return self._put_back(
                event, f"{type(failure).__name__}: {failure}", Response(0, {}, b"")
            )
        document = answer.document()
        text = str(document.get("message") or answer.body[:_REASON_MAX])
        reason = f"{answer.status}: {text[:_REASON_MAX]}"
        # Only the service's own word settles an event: a proxy's page must cost none.
        if 200 <= answer.status < 300 and document.get("status"):
            self._spool.delivered(event)
            self._backoff.succeed()
            return 0.0
        if answer.status in _REFUSALS and document.get("error"):
            self._spool.refuse(event, reason)
            return 0.0
        return self._put_back(event, reason, answer)

    def _put_back(self, event: SpooledEvent, reason: str, answer: Response) -> float:
        self._spool.release(event)
        denied = answer.status in (401, 403)
        if denied:
            self._client.forget_token()
            self._say(
                "denied",
                "the token may not send the hooks' events (%s): they are kept;"
                " give it the scope 'events' as well",
                reason,
            )
        else:
            self._say("later", "cannot send the hooks' events (%s): they are kept", reason)
        retry_after_s = answer.retry_after_s()
        return self._backoff.wait_s(Answer(Verdict.LATER, reason, {}, retry_after_s, denied))

    def _say(self, subject: str, text: str, *values: object) -> None:
        now = time.monotonic()
        if now - self._said.get(subject, float("-inf")) >= _REPEAT_S:
            self._said[subject] = now
            logger.warning(text, *values)
