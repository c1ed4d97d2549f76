"""Who may do what: readers read the public views, ingest writes storage, the owner the rest."""

from __future__ import annotations

import aiohttp
import asyncpg
import pytest

from tests.fix_service import StartService
from tests.integration.sql.observing import Connection, Jobs
from tsobs.db import connect, open_database
from tsobs.migrate import check_schema
from tsobs.retention import maintain_once, set_retention

VIEWS = """
select relname::text from pg_class
where relnamespace = 'tsobs'::regnamespace and relkind in ('v', 'm') order by 1
"""
TABLES = """
select relname::text from pg_class
where relnamespace = 'tsobs_store'::regnamespace and relkind in ('r', 'p') order by 1
"""
# Ledgers and tokens are the operator's business, not a dashboard's.
HIDDEN_FROM_GRAFANA = {"api_token", "ingest_body", "ingest_stream"}
# The service looks a token up by its hash, which is of no use without the token, and checks at its
# start which schema it finds.
QUERY_MAY_SELECT = {"api_token", "migration"}
READERS = ("tsobs_query", "tsobs_grafana")

WRITES = (
    "insert into tsobs_store.setting values ('x', '1')",
    "update tsobs_store.job set name = 'x'",
    "delete from tsobs_store.job_sample",
    "truncate tsobs_store.job_sample",
    "insert into tsobs_store.api_token (token_hash, name, scopes)"
    " values (sha256('x'), 'x', '{admin}')",
    "update tsobs_store.api_token set revoked_at = null",
    "insert into tsobs.setting values ('x', '1', now())",
    "update tsobs.job set name = 'x'",
    "delete from tsobs.api_token",
    "create table tsobs_store.mine (x int)",
    "create table tsobs.mine (x int)",
    "create table public.mine (x int)",
    "drop view tsobs.job",
    "alter table tsobs_store.job add x int",
    "select tsobs_store.set_raw_retention(1)",
    "select drop_chunks('tsobs_store.job_sample', older_than => now())",
    "set role tsobs_owner",
)
INGEST_MAY_NOT = (
    *(one for one in WRITES if "update tsobs_store.job " not in one),
    "delete from tsobs_store.job",
    "delete from tsobs_store.job_event",
    "update tsobs_store.job_event set actor = 'nobody'",
    "update tsobs_store.job_sample set cpu_user_s = 0",
    "delete from tsobs_store.ingest_stream",
    "delete from tsobs_store.migration",
    "update tsobs_store.sample set value = 0",
    "delete from tsobs_store.sample",
    "delete from tsobs_store.series",
    "delete from tsobs_store.label",
    "delete from tsobs_store.ingest_body",
    "insert into tsobs_store.series_removed values (1, '{1}')",
    "alter table tsobs_store.job_sample add x int",
    "create index on tsobs_store.job_sample (node_id)",
)


async def names(connection: Connection, statement: str) -> set[str]:
    return {row[0] for row in await connection.fetch(statement)}


async def play(connection: Connection, role: str) -> None:
    """As a session of the role: what `set role` could undo is gone."""
    await connection.execute(f"set session authorization {role}")


async def refused(connection: Connection, statement: str) -> bool:
    """Whether the role may not do this; whatever it may do is undone."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return True
    except asyncpg.ObjectNotInPrerequisiteStateError:  # a view that joins cannot be written
        return "tsobs." in statement
    finally:
        await transaction.rollback()
    return False


@pytest.mark.parametrize("role", READERS)
async def test_readers_read_the_public_views(jobs: Jobs, role: str) -> None:
    connection = jobs.connection
    await jobs.started(0)
    views = await names(connection, VIEWS)
    await play(connection, role)
    for view in sorted(views):
        is_hidden = role == "tsobs_grafana" and view in HIDDEN_FROM_GRAFANA
        assert await refused(connection, f"select * from tsobs.{view}") is is_hidden, view
    assert await connection.fetchval("select count(*) from tsobs.job") == 1


@pytest.mark.parametrize("role", READERS)
async def test_readers_see_nothing_below_the_views(connection: Connection, role: str) -> None:
    tables = await names(connection, TABLES)
    may = QUERY_MAY_SELECT if role == "tsobs_query" else set()
    await play(connection, role)
    for table in sorted(tables):
        told = await refused(connection, f"select * from tsobs_store.{table}")
        assert told is (table not in may), table


async def test_no_public_view_has_a_token_hash(connection: Connection) -> None:
    shown = await names(
        connection,
        "select column_name::text from information_schema.columns where table_schema = 'tsobs'"
        " and table_name = 'api_token'",
    )
    assert "token_hash" not in shown
    assert "scopes" in shown


@pytest.mark.parametrize("role", READERS)
async def test_readers_change_nothing(connection: Connection, role: str) -> None:
    await play(connection, role)
    assert [one for one in WRITES if not await refused(connection, one)] == []


async def test_ingest_changes_nothing_else(connection: Connection) -> None:
    await play(connection, "tsobs_ingest")
    assert [one for one in INGEST_MAY_NOT if not await refused(connection, one)] == []


async def test_ingest_does_its_work(jobs: Jobs) -> None:
    connection = jobs.connection
    await play(connection, "tsobs_ingest")
    seen = await jobs.started(0)
    node_id = await connection.fetchval("select tsobs_store.ensure_node('a', 'n', '{}', 'm', '1')")
    gpu_id = await connection.fetchval(
        "select tsobs_store.ensure_gpu('u', null, $1, null, null, 1e9)", node_id
    )
    for statement in (
        f"insert into tsobs_store.job_sample (time, job_key, node_id, interval_s)"
        f" values (now(), {seen.job_key}, {node_id}, 15)",
        f"insert into tsobs_store.gpu_sample (time, gpu_id, node_id, share, interval_s)"
        f" values (now(), {gpu_id}, {node_id}, 1, 15)",
        f"insert into tsobs_store.node_sample (time, node_id, interval_s)"
        f" values (now(), {node_id}, 15)",
        f"insert into tsobs_store.job_reported (time, job_key) values (now(), {seen.job_key})",
        "select * from"
        " tsobs_store.claim_batches(array[gen_random_uuid()], '{1}', '{1}', '{m}', '{a}')",
        "select tsobs_store.maintain()",
        "create temp table staging (x int) on commit drop",
    ):
        await connection.execute(statement)


async def test_a_user_with_two_roles_is_enough_for_a_service(
    database_url: str, start_service: StartService
) -> None:
    async with connect(database_url) as superuser:
        await superuser.execute(
            "do $$ begin create role two_roles login password 'secret';"
            " exception when duplicate_object then null; end $$"
        )
        await superuser.execute("grant tsobs_ingest, tsobs_query to two_roles")
    url = f"postgresql://two_roles:secret@{database_url.partition('@')[2]}"
    await check_schema(url)
    assert await maintain_once(url) == 0
    await set_retention(url, 7)
    for role in ("tsobs_ingest", "tsobs_query"):
        async with open_database(url, role=role, size=1) as database:
            await database.fetchval("check_health")
    service = await start_service(database_url=url, metrics_retention_days=7)
    async with aiohttp.ClientSession(service) as session:
        for path in ("/v1/health", "/metrics", "/v1/jobs", "/v1/nodes"):
            async with session.get(path) as answer:
                assert answer.status == 200, path


async def test_the_owner_owns_everything(connection: Connection) -> None:
    """So that the next migration, which runs as the owner, can change it."""
    others = await connection.fetch(
        "select relname, relowner::regrole from pg_class where relowner <> 'tsobs_owner'::regrole"
        " and relnamespace in ('tsobs'::regnamespace, 'tsobs_store'::regnamespace)"
        " union all select proname, proowner::regrole from pg_proc"
        " where pronamespace in ('tsobs'::regnamespace, 'tsobs_store'::regnamespace)"
        " and proowner <> 'tsobs_owner'::regrole"
    )
    assert others == []


async def test_the_roles_are_harmless(connection: Connection) -> None:
    rows = await connection.fetch(
        "select rolname::text as name, rolcanlogin as login,"
        " rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls as mighty"
        " from pg_roles where rolname like 'tsobs\\_%' order by 1"
    )
    assert [tuple(row) for row in rows] == [
        ("tsobs_grafana", True, False),
        ("tsobs_ingest", False, False),
        ("tsobs_owner", True, False),
        ("tsobs_query", False, False),
    ]


async def test_definers_rights_are_few_and_safe(connection: Connection) -> None:
    """What runs with its owner's rights looks names up in fixed places, for few to call."""
    rows = await connection.fetch(
        "select proname::text as name, coalesce(array_to_string(proconfig, ';'), '') as config,"
        " has_function_privilege('tsobs_grafana', oid, 'execute') as grafana"
        " from pg_proc where pronamespace = 'tsobs_store'::regnamespace and prosecdef"
    )
    paths = {
        "set_raw_retention": "pg_catalog, public, pg_temp",
        "maintain": "pg_catalog, public, pg_temp",
        "part_runs": "tsobs_store, pg_temp",
        "roll_samples": "pg_catalog, public, pg_temp",
        "end_series": "tsobs_store, pg_temp",
        "remove_series": "tsobs_store, pg_catalog, pg_temp",
        "expire_bodies": "tsobs_store, pg_temp",
    }
    assert {row["name"] for row in rows} == set(paths)
    for row in rows:
        assert f"search_path={paths[row['name']]}" in row["config"]
        assert row["grafana"] is False
