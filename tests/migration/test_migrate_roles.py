"""Who may migrate, on a server that has never seen tsobs; the messages for who may not."""

from __future__ import annotations

import pytest

from tests.migration.conftest import connected
from tsobs.db import open_database
from tsobs.embedded import Cluster
from tsobs.errors import SetupError
from tsobs.migrate import migrate


def url_as(cluster: Cluster, user: str, database: str) -> str:
    _, _, place = cluster.url(database).partition("@")
    return f"postgresql://{user}:secret@{place}"


async def prepared(cluster: Cluster, name: str, *, attributes: str, extension: bool) -> str:
    """A database that a new role of that name owns; the URL is that role's."""
    async with connected(cluster.url()) as superuser:
        await superuser.execute(f"create role {name} login password 'secret' {attributes}")
        await superuser.execute(f"create database {name} owner {name}")
    if extension:
        async with connected(cluster.url(name)) as superuser:
            await superuser.execute("create extension timescaledb")
    return url_as(cluster, name, name)


async def test_who_may_migrate(fresh_server: Cluster) -> None:
    """In this order, for the first to succeed makes the roles of the whole server."""
    url = await prepared(fresh_server, "plain", attributes="", extension=True)
    with pytest.raises(SetupError, match=r"(?s)0001_schemas\.sql: permission denied.*CREATEROLE"):
        await migrate(url)
    async with connected(url) as plain:
        assert await plain.fetchval("select to_regnamespace('tsobs_store')") is None

    url = await prepared(fresh_server, "maker", attributes="createrole", extension=True)
    assert len(await migrate(url)) > 1
    assert await migrate(url) == []
    for role in ("tsobs_owner", "tsobs_ingest", "tsobs_query"):
        async with open_database(url, role=role, size=1) as database:
            assert await database.fetchval("has_migration_table") is True
    async with connected(url) as maker:
        roles = await maker.fetch(
            "select rolname::text, rolcanlogin from pg_roles"
            " where rolname like 'tsobs\\_%' order by 1"
        )
        assert [tuple(row) for row in roles] == [
            ("tsobs_grafana", True),
            ("tsobs_ingest", False),
            ("tsobs_owner", True),
            ("tsobs_query", False),
        ]
        await maker.execute("select tsobs_store.set_raw_retention(3)")

    # The roles are another's now: who may not grant them to himself is told whom to ask.
    url = await prepared(fresh_server, "later", attributes="createrole", extension=True)
    with pytest.raises(SetupError, match=r"(?s)0001_schemas\.sql: permission denied.*superuser"):
        await migrate(url)
    async with connected(fresh_server.url()) as superuser:
        await superuser.execute(
            "grant tsobs_owner, tsobs_ingest, tsobs_query, tsobs_grafana to later"
        )
    assert len(await migrate(url)) > 1

    async with connected(fresh_server.url()) as superuser:
        await superuser.execute("create database super")
    assert len(await migrate(fresh_server.url("super"))) > 1


async def test_a_role_that_may_not_make_the_extension(fresh_server: Cluster) -> None:
    """TimescaleDB is trusted: the owner of a database may make it; a guest may not."""
    await prepared(fresh_server, "host", attributes="", extension=False)
    async with connected(fresh_server.url()) as superuser:
        await superuser.execute("create role guest login password 'secret' createrole")
    with pytest.raises(SetupError, match=r"(?s)permission denied.*create extension timescaledb"):
        await migrate(url_as(fresh_server, "guest", "host"))


async def test_a_server_that_does_not_preload(fresh_server: Cluster) -> None:
    async with connected(fresh_server.url()) as superuser:
        await superuser.execute("create database unloaded")
    fresh_server.stop()
    unloaded = Cluster(
        fresh_server.folder.parent,
        fresh_server.server.bin_dir,
        durable=False,
        settings={"shared_preload_libraries": ""},
    )
    try:
        unloaded.start()
        with pytest.raises(SetupError, match="add timescaledb to shared_preload_libraries"):
            await migrate(unloaded.url("unloaded"))
    finally:
        unloaded.stop()
        fresh_server.start()
