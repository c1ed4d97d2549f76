"""The HTTP client of the simulated agents and hooks: the same endpoints as for anybody."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal, NamedTuple

import aiohttp
import orjson

from tsobs.demo.credentials import Credentials
from tsobs.demo.part import PartFailed

__all__ = ["Answer", "Client", "open_client"]

_TIMEOUT_S = 30.0
# A service that takes nothing for this long will not take it later.
_PATIENCE_S = 60.0
_BACKOFF_FIRST_S, _BACKOFF_MAX_S = 0.1, 5.0
_TOO_MANY, _UNAUTHORIZED, _CONFLICT = 429, 401, 409
_FAILING = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)
_JSON = {"Content-Type": "application/json"}


class Answer(NamedTuple):
    """What the service said: HTTP status and its JSON."""

    status: int
    document: Mapping[str, Any]


class Client:
    """Posts with patience; raises PartFailed when the service refuses or stays away."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        credentials: Credentials,
        *,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._session = session
        self._url = url
        self._credentials = credentials
        self._patience_s = patience_s

    async def post_batch(self, body: bytes) -> Answer:
        """Sends a gzip'd batch; 409 is an answer, too."""
        headers = _JSON | {"Content-Encoding": "gzip"}
        return await self._send("POST", "/v1/samples", body, headers)

    async def post_event(
        self, kind: Literal["job-started", "job-finished"], event: Mapping[str, Any]
    ) -> Answer:
        """Sends one event."""
        return await self._send("POST", f"/v1/events/{kind}", orjson.dumps(event), _JSON)

    async def get(self, path: str) -> Mapping[str, Any]:
        """The JSON answer to a GET."""
        return (await self._send("GET", path, None, {})).document

    async def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        deadline = time.monotonic() + self._patience_s
        failures = 0
        renewed = False
        while True:
            wait_s = min(_BACKOFF_MAX_S, _BACKOFF_FIRST_S * 2**failures) * random.uniform(0.5, 1)
            try:
                answer, told_wait_s = await self._exchange(method, path, body, headers)
            except _FAILING as error:
                reason = f"{type(error).__name__} {error}".strip()
            else:
                if answer.status < 400 or answer.status == _CONFLICT:
                    return answer
                reason = f"{answer.status} {answer.document.get('message', '')}"
                if answer.status == _UNAUTHORIZED and not renewed:
                    renewed = True
                    await self._credentials.renew()
                elif answer.status < 500 and answer.status != _TOO_MANY:
                    raise PartFailed(f"the service refuses {method} {path}: {reason}")
                wait_s = max(wait_s, told_wait_s)
            if time.monotonic() + wait_s > deadline:
                raise PartFailed(f"the service does not answer {method} {path}: {reason}")
            failures += 1
            await asyncio.sleep(wait_s)

    async def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[Answer, float]:
        """The answer, and how long it asks to wait, seconds."""
        if self._credentials.secret:
            headers = {**headers, "Authorization": f"Bearer {self._credentials.secret}"}
        async with self._session.request(
            method, self._url + path, data=body, headers=headers
        ) as response:
            text = await response.read()
            retry_after = response.headers.get("Retry-After", "0")
        try:
            document = orjson.loads(text)
        except orjson.JSONDecodeError:
            document = {"message": text[:200].decode("utf-8", "replace")}
        wait_s = float(retry_after) if retry_after.isdigit() else 0.0
        return Answer(response.status, document), min(wait_s, _BACKOFF_MAX_S)


@asynccontextmanager
async def open_client(url: str, credentials: Credentials) -> AsyncIterator[Client]:
    """A client with connections of its own."""
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield Client(session, url, credentials)
