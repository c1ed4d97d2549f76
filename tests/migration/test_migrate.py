"""Migrations on a real server: once, again, at once, half-way, by whom, and from what version."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.migration.conftest import Catalog, connected
from tsobs.errors import SetupError
from tsobs.migrate import check_schema, migrate

ReadCatalog = Callable[[str], Awaitable[Catalog]]

NAMES = [
    "0001_schemas.sql",
    "0002_entities.sql",
    "0003_samples.sql",
    "0004_ledgers.sql",
    "0005_tokens.sql",
    "0006_remote_write.sql",
    "functions and views",
]


async def execute(url: str, statement: str, *args: Any) -> None:
    async with connected(url) as connection:
        await connection.execute(statement, *args)


async def value(url: str, statement: str) -> Any:
    async with connected(url) as connection:
        return await connection.fetchval(statement)


async def test_from_empty_and_again(empty_database_url: str, catalog: ReadCatalog) -> None:
    assert await migrate(empty_database_url) == NAMES
    once = await catalog(empty_database_url)
    assert await migrate(empty_database_url) == []
    # What is replaced as a whole must also come out the same when it is there already.
    await execute(
        empty_database_url, "delete from tsobs_store.migration where name = 'functions and views'"
    )
    assert await migrate(empty_database_url) == ["functions and views"]
    assert await catalog(empty_database_url) == once
    assert once["hypertables"]
    await check_schema(empty_database_url)


async def test_several_at_once(
    empty_database_url: str, database_url: str, catalog: ReadCatalog
) -> None:
    done = await asyncio.gather(*(migrate(empty_database_url) for _ in range(4)))
    assert sorted(done) == [[], [], [], NAMES]
    assert await catalog(empty_database_url) == await catalog(database_url)


async def test_a_changed_migration_is_refused(database_url: str, sql_copy: Path) -> None:
    file = sql_copy / "migrations" / "0004_ledgers.sql"
    file.write_text(file.read_text() + "\n-- one more remark\n")
    for doing in (migrate, check_schema):
        with pytest.raises(SetupError, match=r"0004_ledgers\.sql is not the one"):
            await doing(database_url)


async def test_a_newer_schema_is_refused(database_url: str) -> None:
    await execute(
        database_url, "insert into tsobs_store.migration values ('0099_later.sql', 'x', '9.0')"
    )
    for doing in (migrate, check_schema):
        with pytest.raises(SetupError, match=r"newer than this tsobs .*0099_later\.sql.*upgrade"):
            await doing(database_url)


async def test_a_failing_migration_leaves_nothing(
    empty_database_url: str, sql_copy: Path, catalog: ReadCatalog, database_url: str
) -> None:
    file = sql_copy / "migrations" / "0003_samples.sql"
    good = file.read_text()
    file.write_text(good + "\nselect 1 / 0;\n")
    with pytest.raises(SetupError, match=r"0003_samples\.sql could not be applied: division by"):
        await migrate(empty_database_url)
    assert await value(empty_database_url, "select to_regclass('tsobs_store.job_sample')") is None
    assert await value(empty_database_url, "select count(*) from tsobs_store.migration") == 2
    with pytest.raises(SetupError, match="run `tsobs migrate`"):
        await check_schema(empty_database_url)
    file.write_text(good)
    assert await migrate(empty_database_url) == NAMES[2:]
    assert await catalog(empty_database_url) == await catalog(database_url)


async def test_failing_functions_leave_the_old_ones(database_url: str, sql_copy: Path) -> None:
    file = sql_copy / "functions" / "60_retention.sql"
    file.write_text(
        "create or replace function tsobs_store.raw_retention() returns interval"
        " language sql as $$ select interval '1 second' $$;\n select nonsense;"
    )
    with pytest.raises(SetupError, match="functions and views could not be applied"):
        await migrate(database_url)
    kept = await value(database_url, "select tsobs_store.raw_retention()")
    assert kept.days * 86400 + kept.seconds == 7 * 86400


async def test_a_new_migration_and_changed_functions_are_applied(
    database_url: str, sql_copy: Path
) -> None:
    (sql_copy / "migrations" / "0006_more.sql").write_text(
        "alter table tsobs_store.job add column colour text;\n"
    )
    view = sql_copy / "views" / "public.sql"
    view.write_text(view.read_text() + "\ncreate or replace view tsobs.more as select 1 as one;\n")
    with pytest.raises(SetupError, match="run `tsobs migrate`"):
        await check_schema(database_url)
    assert await migrate(database_url) == ["0006_more.sql", "functions and views"]
    # Views come before the grants, so the new one can be read at once.
    assert await value(
        database_url, "select has_table_privilege('tsobs_query', 'tsobs.more', 'select')"
    )
    assert (
        await value(
            database_url,
            "select relowner::regrole::text from pg_class where oid = 'tsobs.more'::regclass",
        )
        == "tsobs_owner"
    )


async def test_an_empty_database_has_not_this_schema(empty_database_url: str) -> None:
    with pytest.raises(SetupError, match="run `tsobs migrate`"):
        await check_schema(empty_database_url)


async def test_a_database_that_is_not_there(database_url: str) -> None:
    with pytest.raises(SetupError, match="create the database, or correct DATABASE_URL"):
        await migrate(database_url + "_missing")


async def test_a_lock_that_another_runner_holds_is_waited_for(empty_database_url: str) -> None:
    async with connected(empty_database_url) as other:
        await other.execute("select pg_advisory_lock(hashtextextended('tsobs.migrate', 0))")
        waiting = asyncio.create_task(migrate(empty_database_url))
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done
    assert await waiting == NAMES
