"""A remote-write sender, and what the database then holds."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp

from tests.documented import check_answer
from tests.integration.ingest.sending import Stored
from tests.remotebodies import headers

__all__ = ["Remote", "Reply", "metric", "open_remote", "stored_samples"]

PATH = "/api/v1/write"
WRITTEN = "X-Prometheus-Remote-Write-{}-Written"


class Reply(NamedTuple):
    """What the service said."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def written(self) -> tuple[int, int, int] | None:
        """Samples, exemplars and histograms by the Written headers; None without them."""
        kinds = ("Samples", "Exemplars", "Histograms")
        found = [self.headers.get(WRITTEN.format(kind)) for kind in kinds]
        if found == [None] * 3:
            return None
        samples, exemplars, histograms = (int(one) for one in found if one is not None)
        return samples, exemplars, histograms

    @property
    def rule(self) -> str | None:
        """Of a refusal, the rule."""
        rule: str | None = self.body["details"].get("rule")
        return rule


class Remote:
    """Posts bodies as Prometheus does."""

    def __init__(self, url: str, session: aiohttp.ClientSession, token: str | None = None) -> None:
        self.url = url
        self.session = session
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def post(
        self,
        body: Any,
        version: int = 1,
        more: Mapping[str, str | None] | None = None,
        path: str = PATH,
    ) -> Reply:
        """Sends bytes; a header that is None in `more` is left out."""
        wanted = {**headers(version), **self._headers, **(more or {})}
        every = {name: value for name, value in wanted.items() if value is not None}
        data = io.BytesIO(body) if isinstance(body, bytes) and len(body) > 1 << 20 else body
        async with self.session.post(
            f"{self.url}{path}", data=data, headers=every, skip_auto_headers=["Content-Type"]
        ) as answer:
            read = await answer.read()
            found = Reply(answer.status, json.loads(read) if read else None, answer.headers)
        check_answer("POST", path, found.status, found.body)
        return found

    async def post_until_taken(self, body: bytes, version: int = 1, pause_s: float = 0.01) -> Reply:
        """As Prometheus: the same bytes again until the answer is no 5xx."""
        while True:
            try:
                found = await self.post(body, version)
            except (aiohttp.ClientError, TimeoutError):
                found = None
            if found is not None and found.status < 500:
                return found
            await asyncio.sleep(pause_s)


@asynccontextmanager
async def open_remote(url: str, token: str | None = None) -> AsyncIterator[Remote]:
    """A sender with connections of its own."""
    connector = aiohttp.TCPConnector(limit=100)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        yield Remote(url, session, token)


def metric(name: str = "up", **labels: str) -> dict[str, str]:
    """A label set."""
    return {"__name__": name, "instance": "n1:9100", **labels}


async def stored_samples(stored: Stored) -> list[tuple[str, dict[str, str], int, float]]:
    """What the view has: metric, labels, unix ms and value, in order."""
    rows = await stored.all(
        "select metric, labels::text as labels, value,"
        " (extract(epoch from time) * 1000)::int8 as ms from tsobs.sample order by 1, 2, 4, 3"
    )
    return [(row["metric"], json.loads(row["labels"]), row["ms"], row["value"]) for row in rows]
