"""A sender of batches as an agent is one, and what the database then holds."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import asyncpg
from multidict import CIMultiDict
from yarl import URL

from tests.documented import check_answer
from tsobs.columns import TABLES

__all__ = ["Answer", "Sender", "Stored", "accepted", "open_sender", "open_stored"]

TIMEOUT = aiohttp.ClientTimeout(total=60)


class Answer(NamedTuple):
    """What the service said."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def refusal(self) -> tuple[int, str, str | None]:
        """Status, code and the field that is named."""
        return self.status, self.body["error"], self.body["details"].get("field")


class Sender:
    """Posts JSON, gzip as the agent does; each body's bytes depend on its content alone."""

    def __init__(self, url: str, session: aiohttp.ClientSession, token: str | None = None) -> None:
        self.url = url
        self.session = session
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def post(self, body: Any, path: str = "/v1/samples") -> Answer:
        """Sends a JSON value."""
        packed = gzip.compress(json.dumps(body).encode(), 1, mtime=0)
        return await self.post_bytes(packed, {"Content-Encoding": "gzip"}, path)

    async def post_bytes(
        self, body: Any, headers: Mapping[str, str] | None = None, path: str = "/v1/samples"
    ) -> Answer:
        """Sends bytes (or an iterator of them, chunked) as they are."""
        every = {"Content-Type": "application/json", **self._headers, **(headers or {})}
        # A large body must not be written in one go.
        data = io.BytesIO(body) if isinstance(body, bytes) and len(body) > 1 << 20 else body
        async with self.session.post(f"{self.url}{path}", data=data, headers=every) as answer:
            found = Answer(answer.status, await answer.json(), answer.headers)
        check_answer("POST", path, found.status, found.body)
        return found

    async def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """A request as a client of the REST API makes it, with who it is."""
        text = None if body is None else json.dumps(body)
        named = {"X-Changed-By": "tester", "X-Source": "tests"} | dict(headers or {})
        return await self.exchange(method, path, text, named)

    async def exchange(self, method: str, path: str, text: str | None, headers: Any) -> Answer:
        """A request of any method; text goes out as it is, headers may come twice."""
        every = CIMultiDict(self._headers)
        every.extend(headers)
        if text is not None:
            every["Content-Type"] = "application/json"
        url = URL(f"{self.url}{path}", encoded=True)
        async with self.session.request(method, url, data=text, headers=every) as answer:
            read = await answer.read()
            found = Answer(answer.status, json.loads(read) if read else None, answer.headers)
        if found.status < 500:
            check_answer(method, path, found.status, found.body)
        return found

    async def post_until_taken(
        self, body: Any, pause_s: float = 0.01, path: str = "/v1/samples"
    ) -> Answer:
        """As an agent: again and again, whatever goes wrong on the way, until it is answered."""
        while True:
            try:
                answer = await self.post(body, path)
            except (aiohttp.ClientError, TimeoutError):
                answer = None
            if answer is not None and answer.status != 503:
                return answer
            await asyncio.sleep(pause_s)


@asynccontextmanager
async def open_sender(url: str, token: str | None = None) -> AsyncIterator[Sender]:
    """A sender with connections of its own."""
    connector = aiohttp.TCPConnector(limit=100)
    async with aiohttp.ClientSession(timeout=TIMEOUT, connector=connector) as session:
        yield Sender(url, session, token)


class Stored:
    """What is in the storage tables."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self.connection = connection

    async def all(self, sql: str, *args: Any) -> list[dict[str, Any]]:
        """Rows as dictionaries."""
        return [dict(row) for row in await self.connection.fetch(sql, *args)]

    async def one(self, sql: str, *args: Any) -> dict[str, Any]:
        """The one row that there must be."""
        [row] = await self.all(sql, *args)
        return row

    async def value(self, sql: str, *args: Any) -> Any:
        """The first column of the first row."""
        return await self.connection.fetchval(sql, *args)

    async def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of a table in schema tsobs_store."""
        return await self.all(f"select * from tsobs_store.{table}")

    async def counts(self) -> dict[str, int]:
        """How many rows each table of samples, and the ledger, holds."""
        tables = (*TABLES, "ingest_stream")
        return {
            name: await self.value(f"select count(*) from tsobs_store.{name}") for name in tables
        }

    async def orphans(self) -> list[dict[str, Any]]:
        """Samples and totals that speak of a job, node or GPU that does not exist."""
        pairs = [
            (table, column)
            for table, columns in {
                "job_sample": ("job_key", "node_id"),
                "gpu_sample": ("job_key", "node_id", "gpu_id"),
                "node_sample": ("node_id",),
                "job_node": ("job_key", "node_id"),
                "job_gpu": ("job_key", "node_id", "gpu_id"),
                "gpu": ("node_id",),
                "job_event": ("job_key",),
                "ingest_stream": ("node_id",),
            }.items()
            for column in columns
        ]
        found = [
            await self.all(
                f"select '{table}' as held_by, {column} from tsobs_store.{table} as s"
                f" where {column} is not null and not exists (select from"
                f" tsobs_store.{column.split('_')[0]} as t where t.{column} = s.{column})"
            )
            for table, column in pairs
        ]
        return [row for rows in found for row in rows]


@asynccontextmanager
async def open_stored(url: str) -> AsyncIterator[Stored]:
    """A connection of the test's own, past the service."""
    connection = await asyncpg.connect(url, server_settings={"timezone": "UTC"})
    try:
        yield Stored(connection)
    finally:
        await connection.close()


def accepted(answers: Sequence[Answer]) -> list[str]:
    """The statuses of answers that must all be 200 without a rejected row."""
    assert {answer.status for answer in answers} <= {200}, [a for a in answers if a.status != 200]
    assert not any(answer.body["rejected_count"] for answer in answers)
    return [answer.body["status"] for answer in answers]
