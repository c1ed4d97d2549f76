"""The pool against a real server: roles, snapshots, COPY, and what a lost server looks like."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import asyncpg
import numpy as np
import pytest

from ingest.copyformat import Key, encode, timestamps
from tsobs.db import Connection, Database, connect, open_database
from tsobs.errors import InvalidRequest, Overloaded, SetupError
from tsobs.sqlfiles import query


async def observe(database: Database | Connection, job_id: str, facts: str = "{}") -> None:
    run = ("c", "slurm", job_id, None, datetime.now(UTC), False)
    told = (*run, 2, 2, facts, "told", "me", "test", None, None, None, None)
    await database.fetch("observe_jobs", *([value] for value in told))


async def test_the_four_ways_to_ask(database_url: str) -> None:
    async with open_database(database_url, role="tsobs_ingest", size=2) as database:
        assert await database.fetchval("retention_seconds") == 7 * 86400
        row = await database.fetchrow("retention_seconds")
        assert row is not None
        assert list(row) == [7 * 86400]
        assert len(await database.fetch("retention_seconds")) == 1
        async with database.transaction() as connection:
            assert await connection.fetchval("retention_seconds") == 7 * 86400
            assert await connection.fetchrow("retention_seconds") == row
            assert await connection.fetch("retention_seconds") == [row]
            await connection.execute("retention_seconds")


async def test_settings_outlive_a_return_to_the_pool(database_url: str) -> None:
    """The pool resets a connection between two uses."""
    async with open_database(
        database_url, role="tsobs_query", size=1, settings={"enable_hashjoin": "off"}
    ) as database:
        for _ in range(3):
            async with database.pool.acquire() as raw:
                shown = await raw.fetchrow(
                    "select current_user::text, current_setting('timezone'),"
                    " current_setting('jit'), current_setting('enable_hashjoin')"
                )
            assert shown is not None
            assert list(shown) == ["tsobs_query", "UTC", "off", "off"]


async def test_statements_that_prepare_a_session(database_url: str) -> None:
    async with open_database(
        database_url, role="tsobs_ingest", size=1, prepare=["create_node_add"]
    ) as database:
        for _ in range(2):
            assert await database.pool.fetchval("select count(*) from pg_temp.node_add") == 0


async def test_a_read_sees_one_moment_and_writes_nothing(database_url: str) -> None:
    async with open_database(database_url, size=2) as database:
        async with database.transaction(readonly=True) as connection:
            before = await connection.fetchval("newest_job_key")
            await observe(database, "1")
            assert await connection.fetchval("newest_job_key") == before
        assert await database.fetchval("newest_job_key") > before
        with pytest.raises(Overloaded):  # as on a standby
            async with database.transaction(readonly=True) as connection:
                await connection.execute("set_retention", 3.0)


async def set_and_fail(database: Database, statement: str) -> None:
    async with database.transaction() as connection:
        await connection.execute("set_retention", 3.0)
        await connection.execute(statement)


async def test_a_failed_transaction_leaves_nothing(database_url: str) -> None:
    async with open_database(database_url, size=1) as database:
        for failing in ("no_such_statement", "observe_jobs"):
            with pytest.raises((KeyError, Overloaded)):
                await set_and_fail(database, failing)
        assert await database.fetchval("retention_seconds") == 7 * 86400


async def test_copy_of_prepared_bytes(database_url: str) -> None:
    rows = 50_000  # more than one piece
    data = encode(
        [timestamps(np.full(rows, 1.7e9)), Key(np.ones(rows, np.int32))], np.ones((1, rows))
    )
    async with open_database(database_url, role="tsobs_ingest", size=1) as database:
        async with database.transaction() as connection:
            await connection.copy_binary(
                "node_sample", data, columns=["time", "node_id", "interval_s"], schema="tsobs_store"
            )
        with pytest.raises(InvalidRequest):
            async with database.transaction() as connection:
                await connection.copy_binary(
                    "node_sample", data[:-2000], columns=["time"], schema="tsobs_store"
                )
    async with connect(database_url) as plain:
        assert await plain.fetchval("select count(*) from tsobs_store.node_sample") == rows


@pytest.mark.parametrize(
    "facts", ['{"uid": 1e30}', '{"state": "asleep"}', '{"start_at": "yesterday-ish"}', "{"]
)
async def test_data_that_no_column_takes(database_url: str, facts: str) -> None:
    async with open_database(database_url, role="tsobs_ingest", size=1) as database:
        with pytest.raises(InvalidRequest):
            await observe(database, "1", facts)
        assert await database.fetchval("retention_seconds")


async def test_a_session_that_the_server_ends(database_url: str) -> None:
    async def lose(connection: Connection) -> None:
        async with connect(database_url) as other:
            await other.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        await connection.fetchval("retention_seconds")

    async with open_database(database_url, size=1) as database:
        with pytest.raises(Overloaded):
            async with database.transaction() as connection:
                await lose(connection)
        assert await database.fetchval("retention_seconds")


async def test_a_deadlock_can_be_told_apart(database_url: str) -> None:
    """Whoever writes tries once more at once when the state's class is 40."""
    async with open_database(database_url, size=2) as database:
        for job_id in ("1", "2"):
            await observe(database, job_id)

        async def take(first: str, second: str, ready: asyncio.Barrier) -> None:
            async with database.transaction() as connection:
                for job_id in (first, second):
                    await observe(connection, job_id, '{"name": "x"}')
                    if job_id == first:
                        await ready.wait()

        ready = asyncio.Barrier(2)
        outcomes = await asyncio.gather(
            take("1", "2", ready), take("2", "1", ready), return_exceptions=True
        )
    [error] = [outcome for outcome in outcomes if outcome is not None]
    assert isinstance(error, Overloaded)
    assert str(error.details["sqlstate"]).startswith("40")


async def test_what_an_operator_must_put_right(database_url: str) -> None:
    place = database_url.partition("@")[2]
    wrong = {
        database_url + "_missing": "create the database",
        f"postgresql://nobody-here:x@{place}": "correct the user or password",
        "mysql://localhost/x": "cannot be read",
    }
    for url, message in wrong.items():
        with pytest.raises(SetupError, match=message):
            async with open_database(url, size=1):
                pass
        with pytest.raises(SetupError, match=message):
            async with connect(url):
                pass
    with pytest.raises(SetupError, match="run `tsobs migrate`"):
        async with open_database(database_url, role="tsobs_nobody", size=1):
            pass


async def test_a_user_without_the_role(database_url: str) -> None:
    async with connect(database_url) as plain:
        await plain.execute(
            "do $$ begin create role db_guest login password 'secret';"
            " exception when duplicate_object then null; end $$"
        )
    guest = f"postgresql://db_guest:secret@{database_url.partition('@')[2]}"
    with pytest.raises(SetupError, match="grant the role to the user in DATABASE_URL"):
        async with open_database(guest, role="tsobs_query", size=1):
            pass


async def test_nothing_listens_there(unused_tcp_port: int) -> None:
    url = f"postgresql://nobody@127.0.0.1:{unused_tcp_port}/x"
    with pytest.raises(Overloaded):
        async with open_database(url, size=1):
            pass


async def test_a_plain_connection_is_the_urls_own_user(database_url: str) -> None:
    async with connect(database_url, application_name="someone") as plain:
        assert isinstance(plain, asyncpg.Connection)
        assert await plain.fetchval("select current_user = session_user")
        assert await plain.fetchval("show application_name") == "someone"
        assert await plain.fetchval(query("has_migration_table")) is True
