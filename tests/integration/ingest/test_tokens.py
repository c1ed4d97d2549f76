"""Who may write: tokens, and their bounds to a node or a cluster."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.batches import Agent, job, row
from tests.fix_service import StartService
from tests.integration.ingest.sending import Answer, Stored, accepted, open_sender
from tests.integration.ingest.test_jobs import FINISHED_PATH, STARTED_PATH, finished, started
from tsobs.columns import TABLES
from tsobs.db import open_database
from tsobs.routes import Scope
from tsobs.tokens import NewToken, TokenStore

NOW = float(int(time.time()))


@pytest.fixture
async def tokens(database_url: str) -> AsyncIterator[TokenStore]:
    async with open_database(database_url, size=1) as database:
        yield TokenStore(database)


async def posted(url: str, token: str | None, body: Any, path: str = "/v1/samples") -> Answer:
    async with open_sender(url, token) as sender:
        return await sender.post(body, path)


def batch(node: str = "n1", cluster: str | None = None) -> Any:
    return Agent(node, cluster=cluster).batch(jobs=[job()], job_sample=[row(NOW, job=0)])


async def nothing_stored(stored: Stored) -> bool:
    tables = (*TABLES, "ingest_stream", "job", "node", "job_node", "job_event")
    return not any([await stored.rows(table) for table in tables])


async def test_without_a_good_token_nothing_is_taken(
    start_service: StartService, stored: Stored, tokens: TokenStore
) -> None:
    _, reader = await tokens.create(NewToken("reader", [Scope.READ]))
    url = await start_service()
    for token, status in ((None, 401), ("tsobs_wrong", 401), (reader, 403)):
        for path, body in (("/v1/samples", batch()), (STARTED_PATH, started())):
            answer = await posted(url, token, body, path)
            assert answer.status == status
            assert answer.body["error"] == ("unauthorized" if status == 401 else "forbidden")
            assert answer.body["message"]
    assert await nothing_stored(stored)


async def test_a_token_bound_to_a_node_writes_for_that_node_alone(
    start_service: StartService, stored: Stored, tokens: TokenStore
) -> None:
    _, token = await tokens.create(NewToken("n1", [Scope.AGENT, Scope.EVENTS], node="n1"))
    url = await start_service()
    for node in ("n2", "N1", "n1.example.org", "n1 "):
        answer = await posted(url, token, batch(node))
        assert answer.refusal == (403, "forbidden", "node.name")
        assert answer.body["details"]["rule"] == "must be n1"
    strangers: tuple[str | None, ...] = (None, "n2")
    for stranger in strangers:
        for path, told in (
            (STARTED_PATH, started(node=stranger)),
            (FINISHED_PATH, finished(node=stranger)),
        ):
            answer = await posted(url, token, told, path)
            assert answer.refusal == (403, "forbidden", "node")
            assert answer.body["details"]["rule"] == "must be n1"
    assert await nothing_stored(stored)
    assert accepted([await posted(url, token, batch("n1"))]) == ["accepted"]
    answer = await posted(url, token, started(node="n1"), STARTED_PATH)
    assert answer.status == 200


async def test_a_token_bound_to_a_cluster_writes_for_that_cluster_alone(
    start_service: StartService, stored: Stored, tokens: TokenStore
) -> None:
    scopes = [Scope.AGENT, Scope.EVENTS]
    _, alpha = await tokens.create(NewToken("a", scopes, cluster="alpha"))
    _, home = await tokens.create(NewToken("h", scopes, cluster="home"))
    url = await start_service(cluster="home")
    # Who does not name a cluster speaks of the service's own.
    for token, cluster in ((alpha, None), (alpha, "beta"), (home, "alpha")):
        for path, body in (
            ("/v1/samples", batch(cluster=cluster)),
            (STARTED_PATH, started(cluster=cluster)),
        ):
            answer = await posted(url, token, body, path)
            assert answer.refusal == (403, "forbidden", "cluster")
            assert answer.body["details"]["rule"].startswith("must be ")
    assert await nothing_stored(stored)
    for token, cluster in ((alpha, "alpha"), (home, None), (home, "home")):
        assert accepted([await posted(url, token, batch("n", cluster))]) == ["accepted"]
    assert {node["cluster"] for node in await stored.rows("node")} == {"alpha", "home"}


async def test_a_refused_batch_did_not_take_its_seq(
    start_service: StartService, tokens: TokenStore
) -> None:
    _, wrong = await tokens.create(NewToken("n2", [Scope.AGENT], node="n2"))
    _, right = await tokens.create(NewToken("n1", [Scope.AGENT], node="n1"))
    url = await start_service()
    body = batch("n1")
    assert (await posted(url, wrong, body)).status == 403
    assert accepted([await posted(url, right, body)]) == ["accepted"]
