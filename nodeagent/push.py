"""Talking to the service: requests over a kept connection, and what the answer to a batch means."""

from __future__ import annotations

import email.utils
import gzip
import http.client
import json
import logging
import ssl
import time
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

__all__ = ["Answer", "Client", "Response", "Verdict", "judge"]

logger = logging.getLogger(__name__)

_PATH = "/v1/samples"
_ANSWER_MAX_BYTES = 1_048_576
_RETRY_AFTER_MAX_S = 300.0
_REASON_MAX = 500


class Response(NamedTuple):
    """What came back: status, headers by lower-case name, and the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def document(self) -> Mapping[str, Any]:
        """Return the body's JSON object; empty when it is none."""
        return _json_object(self.body)

    def retry_after_s(self) -> float | None:
        """Return how long the service asks to wait, bounded; None when it does not."""
        return _retry_after(self.headers.get("retry-after"))


class Verdict(Enum):
    """What to do with a batch: forget it, keep it for later, put it aside, or send it under a new
    stream."""

    STORED = "stored"
    LATER = "later"
    REFUSED = "refused"
    CONFLICT = "conflict"


class Answer(NamedTuple):
    """The service's answer: verdict, reason in words, its JSON, and how long it asks to wait."""

    verdict: Verdict
    reason: str
    document: Mapping[str, Any]
    retry_after_s: float | None = None
    denied: bool = False
    """The token was not accepted."""


def judge(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """Return what an HTTP answer means.

    Only the service's own JSON counts as acceptance or refusal: a proxy's page must cost no data.
    """
    document = _json_object(body)
    error = document.get("error")
    reason = f"{status} {error or ''}: {document.get('message') or body[:_REASON_MAX]!r}"
    if 200 <= status < 300 and document.get("status") in ("accepted", "duplicate"):
        return Answer(Verdict.STORED, str(document["status"]), document)
    if status == 409 and error == "stream_conflict":
        return Answer(Verdict.CONFLICT, reason, document)
    # A 413 is also what a proxy says to a batch that will never be smaller.
    if status == 413 or (status in (400, 415, 422) and error):
        return Answer(Verdict.REFUSED, f"{reason} {_details(document)}".strip(), document)
    wait = _retry_after(headers.get("retry-after"))
    return Answer(Verdict.LATER, reason, document, wait, denied=status in (401, 403))


class Client:
    """Posts batches over one connection that is kept open."""

    def __init__(
        self,
        url: str,
        *,
        token_file: Path | None,
        ca_file: Path | None,
        timeout_s: float,
        agent: str,
    ) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port
        self._base = parts.path.rstrip("/")
        self._tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self._tls = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        self._timeout_s = timeout_s
        self._token_file = token_file
        self._token: str | None = None
        self._agent = agent
        self._connection: http.client.HTTPConnection | None = None

    def post(self, body: bytes) -> Answer:
        """Send a batch and return the judged answer; a network failure is an answer too (LATER)."""
        try:
            data = gzip.compress(body, compresslevel=1, mtime=0)
            return judge(*self.request("POST", _PATH, data, encoding="gzip"))
        except (OSError, http.client.HTTPException) as failure:
            return Answer(Verdict.LATER, f"{type(failure).__name__}: {failure}", {})

    def request(
        self, method: str, path: str, data: bytes | None = None, *, encoding: str | None = None
    ) -> Response:
        """Send any request and return the answer; OSError or HTTPException when there is none."""
        try:
            headers = self._headers(encoding)
            reused = self._connection is not None
            try:
                return self._exchange(method, path, data, headers)
            except (ConnectionError, http.client.BadStatusLine):
                # A kept connection may have been closed meanwhile; sending twice is harmless.
                self.close()
                if not reused:
                    raise
                return self._exchange(method, path, data, headers)
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def forget_token(self) -> None:
        """Read the token file again before the next batch."""
        self._token = None

    def close(self) -> None:
        """Close the connection; the next batch opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(
        self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]
    ) -> Response:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.request(method, self._base + path, data, dict(headers))
        response = self._connection.getresponse()
        body = response.read(_ANSWER_MAX_BYTES)
        if not response.isclosed():
            self.close()
        return Response(response.status, {k.lower(): v for k, v in response.getheaders()}, body)

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls is not None:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout_s, context=self._tls
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)

    def _headers(self, encoding: str | None) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": self._agent}
        if encoding is not None:
            headers["Content-Encoding"] = encoding
        if self._token_file is not None:
            if self._token is None:
                self._token = _read_token(self._token_file)
            headers["Authorization"] = f"Bearer {self._token}"
        return headers


def _read_token(path: Path) -> str:
    text = path.read_text("utf-8", "replace").strip()
    # Said here, without the text: http.client would put it into its message.
    if not text.isascii() or not text.isprintable() or not text or " " in text:
        raise OSError(f"{path} holds no token")
    return text


def _json_object(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _details(document: Mapping[str, Any]) -> str:
    details = document.get("details")
    return json.dumps(details)[:_REASON_MAX] if details else ""


def _retry_after(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    return min(max(seconds, 0.0), _RETRY_AFTER_MAX_S)
