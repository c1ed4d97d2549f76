"""Is the service there, does it accept the token, and do the clocks agree."""

from __future__ import annotations

import email.utils
import http.client
import time
from collections.abc import Iterator

from nodeagent.clock import CLOCK_TOLERANCE_S
from nodeagent.doctor.finding import Finding, Status
from nodeagent.push import Client, Response

__all__ = ["examine_service"]

_SECTION = "service"


def examine_service(client: Client, url: str, *, sends_events: bool) -> Iterator[Finding]:
    """Yield what it answers; nothing is stored by asking."""
    before = time.time()
    try:
        health = client.request("GET", "/v1/health")
    except (OSError, http.client.HTTPException) as failure:
        text = f"{url} does not answer: {failure}"
        advice = "check --url, and that the service runs and may be reached from here"
        yield Finding(_SECTION, "reachable", Status.FAULT, text, advice)
        return
    after = time.time()
    status = health.document().get("status")
    if health.status != 200 or status is None:
        text = f"{url} answers {health.status}: {health.body[:100]!r}"
        yield Finding(_SECTION, "reachable", Status.FAULT, text, "check --url")
        return
    text = f"{url}, {status}, {(after - before) * 1e3:.0f} ms"
    yield Finding(_SECTION, "reachable", Status.OK, text)
    yield from _clock(health, (before + after) / 2)
    yield _token(client, "/v1/samples", "samples", "agent", Status.FAULT)
    if sends_events:
        # A token of the scope agent alone is enough where no hook is in use.
        subject = "hooks' events"
        yield _token(client, "/v1/events/job-started", subject, "events", Status.WARNING)


def _token(client: Client, path: str, subject: str, scope: str, otherwise: Status) -> Finding:
    try:
        # No batch and no event: the answer says whether one would have been let in.
        answer = client.request("POST", path, b"{}")
    except (OSError, http.client.HTTPException) as failure:
        return Finding(_SECTION, subject, Status.FAULT, str(failure))
    error = answer.document().get("error")
    if answer.status in (401, 403):
        text = f"{answer.status}: {answer.document().get('message') or error}"
        advice = f"give --token-file a token with the scope '{scope}'"
        return Finding(_SECTION, subject, otherwise, text, advice)
    if answer.status in (400, 422) and error:
        return Finding(_SECTION, subject, Status.OK, "would be accepted")
    text = f"{answer.status}: {answer.body[:100]!r}"
    return Finding(_SECTION, subject, Status.FAULT, text, "is --url the service's own address?")


def _clock(answer: Response, at: float) -> Iterator[Finding]:
    try:
        theirs = email.utils.parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return
    # The header has whole seconds.
    offset_s = at - (theirs + 0.5)
    text = f"{offset_s:+.0f} s from the service's" if abs(offset_s) > 1 else "in step"
    if abs(offset_s) > CLOCK_TOLERANCE_S:
        yield Finding(_SECTION, "clock", Status.FAULT, text, "let chrony or ntpd set it")
    else:
        yield Finding(_SECTION, "clock", Status.OK, text)
