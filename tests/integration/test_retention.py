"""Raw retention on either edition: old chunks go, newer ones stay, and the setting changes both."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg
import pytest

from tsobs.db import open_database
from tsobs.errors import InvalidRequest, SetupError
from tsobs.retention import keep_maintaining, maintain_once, set_retention

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

ROWS = {
    "job_sample": "(time, job_key, node_id, interval_s) select t, 1, 1, 15",
    "gpu_sample": "(time, gpu_id, node_id, share, interval_s) select t, 1, 1, 1, 15",
    "node_sample": "(time, node_id, interval_s) select t, 1, 15",
    "job_reported": "(time, job_key) select t, 1",
}
CHUNK_DAYS = {"job_sample": 0.25, "gpu_sample": 0.25, "node_sample": 1, "job_reported": 1}
POLICIES = """
select job_id, hypertable_name::text as name, config ->> 'drop_after' as drop_after,
    schedule_interval
from timescaledb_information.jobs where proc_name = 'policy_retention'
    and hypertable_name in ('job_sample', 'gpu_sample', 'node_sample', 'job_reported') order by 2
"""


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    connection: Connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def until(condition: Callable[[], bool]) -> None:
    """Waits until something was logged."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.02)
    pytest.fail("this did not happen in time")


async def fill(url: str, days: int = 12) -> None:
    """A row an hour in every raw table, from so many days ago until now."""
    async with connected(url) as connection:
        for table, row in ROWS.items():
            await connection.execute(
                f"insert into tsobs_store.{table} {row} from generate_series("
                "now() - make_interval(days => $1), now(), interval '1 hour') as t",
                days,
            )


async def drop_past(url: str, edition: str) -> None:
    """What happens by itself: a policy runs, or the service maintains."""
    if edition == "apache":
        await maintain_once(url)
        return
    async with connected(url) as connection:
        for row in await connection.fetch(POLICIES):
            await connection.execute(f"call run_job({row['job_id']})")


async def kept(url: str, days: int) -> dict[str, int]:
    """How many rows of each table are younger than that."""
    async with connected(url) as connection:
        return {
            table: await connection.fetchval(
                f"select count(*) from tsobs_store.{table}"
                " where time > now() - $1 * interval '1 day'",
                days,
            )
            for table in ROWS
        }


async def with_old_chunks(url: str, days: int) -> list[str]:
    """The tables of which a chunk is wholly older than that."""
    async with connected(url) as connection:
        return [
            table
            for table in ROWS
            if await connection.fetch(
                f"select show_chunks('tsobs_store.{table}', older_than => $1 * interval '1 day')",
                days,
            )
        ]


async def oldest_days(url: str) -> dict[str, float]:
    """The age of each table's oldest row."""
    async with connected(url) as connection:
        return {
            table: await connection.fetchval(
                "select extract(epoch from now() - min(time))::float8 / 86400"
                f" from tsobs_store.{table}"
            )
            for table in ROWS
        }


async def test_seven_days_unless_set(database_url: str) -> None:
    async with open_database(database_url, role="tsobs_ingest", size=1) as database:
        assert await database.fetchval("retention_seconds") == 7 * 86400
        await set_retention(database_url, 30)
        assert await database.fetchval("retention_seconds") == 30 * 86400


async def test_remote_write_is_kept_for_thirty_days_unless_set(database_url: str) -> None:
    """Its setting and that of the agents' samples leave each other alone."""
    async with open_database(database_url, role="tsobs_ingest", size=1) as database:
        assert await database.fetchval("sample_retention_seconds") == 30 * 86400
        await set_retention(database_url, 10, "remote_write_retention_days")
        assert await database.fetchval("sample_retention_seconds") == 10 * 86400
        assert await database.fetchval("retention_seconds") == 7 * 86400
    with pytest.raises(InvalidRequest):
        await set_retention(database_url, 10, "cluster")


@pytest.mark.community
async def test_every_kept_table_has_its_policy(database_url: str) -> None:
    async with connected(database_url) as connection:
        for days in (30, 12):
            await set_retention(database_url, days, "remote_write_retention_days")
            rows = await connection.fetch(
                "select hypertable_name::text as name,"
                " extract(epoch from (config ->> 'drop_after')::interval)::int / 86400 as days"
                " from timescaledb_information.jobs where proc_name = 'policy_retention'"
                " and hypertable_schema = 'tsobs_store'"
            )
            assert {row["name"]: row["days"] for row in rows} == dict.fromkeys(ROWS, 7) | {
                "sample": days,
                "exemplar": days,
                "histogram": days,
                "sample_5m": 365,
            }


async def test_old_chunks_go_and_newer_ones_stay(database_url: str, edition: str) -> None:
    await fill(database_url)
    for days in (7, 3):
        assert await with_old_chunks(database_url, days) == list(ROWS)
        await set_retention(database_url, days)
        await drop_past(database_url, edition)
        assert await kept(database_url, days) == dict.fromkeys(ROWS, days * 24)
        assert await with_old_chunks(database_url, days) == []
        # The chunk in which the edge lies stays whole.
        for table, oldest in (await oldest_days(database_url)).items():
            assert days - 1 / 24 <= oldest <= days + CHUNK_DAYS[table]


async def test_a_longer_retention_keeps_more(database_url: str, edition: str) -> None:
    await fill(database_url, days=20)
    await set_retention(database_url, 15)
    await drop_past(database_url, edition)
    assert min((await oldest_days(database_url)).values()) >= 15 - 1 / 24


async def test_whoever_writes_now_is_not_disturbed(database_url: str, edition: str) -> None:
    await fill(database_url)
    await set_retention(database_url, 7)
    async with connected(database_url) as writer, writer.transaction():
        await writer.execute(
            f"insert into tsobs_store.job_sample {ROWS['job_sample']} from (values (now())) v (t)"
        )
        async with asyncio.timeout(10):
            await drop_past(database_url, edition)
    assert await with_old_chunks(database_url, 7) == []


@pytest.mark.community
async def test_policies_change_with_the_setting(database_url: str) -> None:
    await set_retention(database_url, 7)
    async with connected(database_url) as connection:
        first = await connection.fetch(POLICIES)
        assert {row["name"]: row["drop_after"] for row in first} == dict.fromkeys(ROWS, "168:00:00")
        assert {row["schedule_interval"].total_seconds() for row in first} == {3600.0}
        await set_retention(database_url, 7)
        assert await connection.fetch(POLICIES) == first
        await set_retention(database_url, 2)
        second = await connection.fetch(POLICIES)
        assert {row["name"]: row["drop_after"] for row in second} == dict.fromkeys(ROWS, "48:00:00")


@pytest.mark.community
@pytest.mark.parametrize("days", [None, 2.5])
async def test_maintenance_makes_the_policies_that_are_missing(
    database_url: str, days: float | None
) -> None:
    """A service that is told nothing, and one whose operator removed a policy."""
    async with connected(database_url) as connection:
        assert await connection.fetch(POLICIES) == []
        if days:
            await set_retention(database_url, days)
            await connection.execute("select remove_retention_policy('tsobs_store.gpu_sample')")
        assert await maintain_once(database_url) == 0
        made = await connection.fetch(POLICIES)
        drop_after = f"{(days or 7) * 24:.0f}:00:00"
        assert {row["name"]: row["drop_after"] for row in made} == dict.fromkeys(ROWS, drop_after)
        assert await maintain_once(database_url) == 0
        assert await connection.fetch(POLICIES) == made


async def test_setting_and_policies_are_one_transaction(database_url: str) -> None:
    await set_retention(database_url, 5)
    async with connected(database_url) as connection:
        before = await connection.fetch(POLICIES)
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("select tsobs_store.set_raw_retention(9)")
        await transaction.rollback()
        assert await connection.fetch(POLICIES) == before
        assert await connection.fetchval("select tsobs_store.has_raw_retention(5)")


async def test_several_services_set_it_at_once(database_url: str) -> None:
    await asyncio.gather(*(set_retention(database_url, 4) for _ in range(4)))
    async with connected(database_url) as connection:
        assert await connection.fetchval("select tsobs_store.has_raw_retention(4)")
        names = [row["name"] for row in await connection.fetch(POLICIES)]
        assert len(names) == len(set(names))


async def test_one_maintains_at_a_time(database_url: str, edition: str) -> None:
    if edition != "apache":
        pytest.skip("the Community edition maintains itself")
    await fill(database_url)
    async with connected(database_url) as other:
        await other.execute("select pg_advisory_lock(hashtextextended('tsobs.maintain', 0))")
        assert await maintain_once(database_url) is None
    done = await asyncio.gather(*(maintain_once(database_url) for _ in range(4)))
    assert sorted(n for n in done if n)[1:] == []
    assert max(n or 0 for n in done) > 2 * 4 * 4
    assert await maintain_once(database_url) == 0


async def test_a_chunk_that_is_read_is_left_for_next_time(database_url: str, edition: str) -> None:
    if edition != "apache":
        pytest.skip("the Community edition maintains itself")
    await fill(database_url)
    async with connected(database_url) as reader:
        async with reader.transaction():
            await reader.fetch(
                "select * from tsobs_store.job_sample where time < now() - interval '8 days'"
            )
            async with asyncio.timeout(10):
                assert await maintain_once(database_url)
        assert await with_old_chunks(database_url, 7) == ["job_sample"]
    assert await maintain_once(database_url)
    assert await with_old_chunks(database_url, 7) == []


async def test_who_may_set_it(database_url: str) -> None:
    place = database_url.partition("@")[2]
    async with connected(database_url) as superuser:
        await superuser.execute(
            "do $$ begin create role retention_guest login password 'secret';"
            " exception when duplicate_object then null; end $$"
        )
        await superuser.execute("grant tsobs_ingest, tsobs_query to retention_guest")
    guest = f"postgresql://retention_guest:secret@{place}"
    with pytest.raises(SetupError, match=r"may not set the retention .* to 9 days.*tsobs_owner"):
        await set_retention(guest, 9)
    await set_retention(database_url, 9)
    await set_retention(guest, 9)
    assert await maintain_once(guest) == 0


async def test_no_days_at_all_are_refused(database_url: str) -> None:
    with pytest.raises(InvalidRequest):
        await set_retention(database_url, 0)


async def test_the_loop_maintains_and_goes_on(
    database_url: str, edition: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tsobs.retention")
    await fill(database_url)
    task = asyncio.create_task(keep_maintaining(database_url, 0.05))
    if edition == "apache":
        await until(lambda: "chunks of samples past their retention" in caplog.text)
        assert await with_old_chunks(database_url, 7) == []
    await asyncio.sleep(0.2)
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_the_loop_outlives_a_database_that_is_away(
    unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"postgresql://nobody@127.0.0.1:{unused_tcp_port}/x"
    task = asyncio.create_task(keep_maintaining(url, 0.01))
    await until(lambda: caplog.text.count("maintenance failed, again in 0.01 s") >= 3)
    task.cancel()
    await asyncio.wait([task])
