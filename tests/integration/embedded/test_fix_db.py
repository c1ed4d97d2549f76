"""The fixtures that every other database test stands on."""

from __future__ import annotations

import asyncpg
import pytest

from tests.fix_db import TestServer, kill
from tsobs.embedded import Cluster


async def tables(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT schemaname || '.' || tablename AS name FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"
        )
        return [row["name"] for row in rows]
    finally:
        await connection.close()


async def test_a_clone_has_the_schema(database_url: str) -> None:
    assert any(name.startswith("tsobs_store.") for name in await tables(database_url))


@pytest.mark.parametrize("number", [1, 2])
async def test_clones_are_each_tests_own(database_url: str, number: int) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("CREATE TABLE mine (x int)")
    # Left open on purpose: the database is dropped all the same.
    connection.terminate()


async def test_an_empty_database_is_empty(empty_database_url: str) -> None:
    assert await tables(empty_database_url) == []


async def test_nobody_connects_to_the_template(server: TestServer, template: str) -> None:
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        await asyncpg.connect(server.url(template))


async def test_the_edition_is_what_the_server_says(database_url: str, edition: str) -> None:
    connection = await asyncpg.connect(database_url)
    licence = await connection.fetchval("SHOW timescaledb.license")
    await connection.close()
    assert licence == {"apache": "apache", "community": "timescale"}[edition]


async def test_a_private_cluster_may_be_killed(private_cluster: Cluster) -> None:
    connection = await asyncpg.connect(private_cluster.url())
    assert await connection.fetchval("SHOW fsync") == "on"
    await connection.execute("CREATE TABLE kept AS SELECT 1 AS x")
    kill(private_cluster)
    connection.terminate()
    private_cluster.start()
    connection = await asyncpg.connect(private_cluster.url())
    assert await connection.fetchval("SELECT x FROM kept") == 1
    await connection.close()
