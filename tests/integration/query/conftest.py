"""A site in a fresh database, the query side over it as a client sees it, and Prometheus' tools."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest
from aiohttp import ClientSession
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.documented import check_answer
from tests.integration.query.site import Site
from tests.peers import PEERS
from tsobs.db import open_database
from tsobs.routes import Scope
from tsobs.tokens import NewToken, TokenStore


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Any
    text: str
    json: Any


class Asker:
    """A client of a running service; `token` is sent with every request."""

    def __init__(self, session: ClientSession, url: str, token: str | None = None) -> None:
        self.session = session
        self.url = url
        self.token = token

    async def __call__(self, path: str, *, method: str = "GET", **headers: str) -> Answer:
        """One request; `path` goes out as it is written."""
        from yarl import URL

        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        url = URL(f"{self.url}{path}", encoded=True)
        async with self.session.request(method, url, headers=headers) as response:
            text = await response.text()
            is_json = response.content_type == "application/json" and method != "HEAD"
            found = await response.json() if is_json else None
            check_answer(method, path, response.status, found)
            return Answer(response.status, response.headers, text, found)

    async def metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """The values of /metrics that are about the site, by name and labels."""
        answer = await self("/metrics")
        assert answer.status == 200
        families: Iterable[Metric] = text_string_to_metric_families(answer.text)
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
            if sample.name.startswith("hpc_")
        }


def series(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    """A key of `Asker.metrics`."""
    return name, frozenset(labels.items())


@pytest.fixture
async def site(database_url: str) -> AsyncIterator[Site]:
    """An empty site."""
    store = await asyncpg.connect(database_url)
    yield Site(store)
    await store.close()


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    """Connections of the test's client."""
    async with ClientSession() as opened:
        yield opened


@pytest.fixture
async def ask(session: ClientSession, start_service: Callable[..., Awaitable[str]]) -> Asker:
    """A client of a query process without tokens."""
    return Asker(session, await start_service(role="query"))


@pytest.fixture
async def ask_as(
    database_url: str, session: ClientSession, start_service: Callable[..., Awaitable[str]]
) -> Callable[..., Awaitable[Asker]]:
    """Makes clients with a reader's token that is bound as told."""
    url = await start_service(role="query")

    async def make(**bounds: str) -> Asker:
        async with open_database(database_url, size=1) as database:
            wanted = NewToken("reader", [Scope.READ], **bounds)  # type: ignore[arg-type]
            _, secret = await TokenStore(database).create(wanted)
        return Asker(session, url, secret)

    return make


@pytest.fixture(scope="session")
def prometheus_bin() -> Path:
    """The folder of prometheus and promtool, fetched once from the host's package archive."""
    return PEERS["promtool-2.42"].path().parent
