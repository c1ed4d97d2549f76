"""The query side opens and closes as a whole, and reads with the rights it should have."""

from __future__ import annotations

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from query.app import open_query
from query.catalogue import CATALOGUE
from tsobs.db import open_database
from tsobs.errors import Overloaded, SetupError
from tsobs.routes import ROUTES
from tsobs.settings import Settings
from tsobs.sqlfiles import parse, queries, query, sql_root

NAMES = [
    name
    for file in ("metrics", "jobs", "nodes", "health")
    for name in parse((sql_root() / "queries" / f"{file}.sql").read_text())
]
# The statement behind each relation of the catalogue; the others are made of these.
STATEMENTS = {
    "job": "metrics_job",
    "job_node": "metrics_job_node",
    "job_gpu": "metrics_job_gpu",
    "gpu": "metrics_gpu",
    "node": "metrics_node",
}
COUNTED_HERE = {("node", "jobs"), ("job_node", "runtime_s")}
COUNTED_HERE |= {(relation, "info") for relation in ("job", "gpu", "node")}


async def test_every_handler_has_a_route(database_url: str) -> None:
    settings = Settings(database_url=database_url)
    async with open_query(settings, CollectorRegistry()) as handlers:
        assert set(handlers) <= {(route.method, route.path) for route in ROUTES}


async def test_it_cannot_open_without_a_database() -> None:
    with pytest.raises(SetupError, match="database_url is not set"):
        async with open_query(Settings(), CollectorRegistry()):
            pass
    away = Settings(database_url="postgresql://127.0.0.1:9/x")
    with pytest.raises(Overloaded):
        async with open_query(away, CollectorRegistry()):
            pass


async def test_a_replica_is_read_where_there_is_one(database_url: str) -> None:
    settings = Settings(database_url="postgresql://127.0.0.1:9/x", read_database_url=database_url)
    async with open_query(settings, CollectorRegistry()) as handlers:
        assert handlers


@pytest.mark.parametrize("name", NAMES)
async def test_a_statement_fits_the_schema_and_the_role(database_url: str, name: str) -> None:
    connection = await asyncpg.connect(database_url, server_settings={"role": "tsobs_query"})
    try:
        prepared = await connection.prepare(query(name))
        nothing = [None] * len(prepared.get_parameters())
        await prepared.fetch(*nothing)
    finally:
        await connection.close()


async def test_the_role_reads_views_and_writes_nothing(database_url: str) -> None:
    connection = await asyncpg.connect(database_url, server_settings={"role": "tsobs_query"})
    try:
        for statement in (
            "select 1 from tsobs_store.job",
            "delete from tsobs.job",
            "update tsobs.node set node = 'n'",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_every_column_of_the_catalogue_is_read(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        for metric in CATALOGUE:
            if metric.relation not in STATEMENTS:
                continue
            prepared = await connection.prepare(query(STATEMENTS[metric.relation]))
            there = {attribute.name for attribute in prepared.get_attributes()}
            wanted = {source.column for source in metric.sources}
            wanted |= {column for _, column in metric.labels}
            assert {
                column for column in wanted if (metric.relation, column) not in COUNTED_HERE
            } <= there
    finally:
        await connection.close()


def test_statements_have_names_of_their_own() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert set(NAMES) <= set(queries())


async def test_one_snapshot_for_all_statements(database_url: str) -> None:
    async with (
        open_database(database_url, role="tsobs_query", size=2) as database,
        database.transaction(readonly=True) as connection,
    ):
        before = await connection.fetchval("count_nodes", None, None)
        store = await asyncpg.connect(database_url)
        await store.execute("insert into tsobs_store.node (cluster, name) values ('a', 'n')")
        await store.close()
        assert await connection.fetchval("count_nodes", None, None) == before
        assert await database.fetchval("count_nodes", None, None) == before + 1
