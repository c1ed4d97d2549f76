"""Counting jobs without counting all of history each time."""

from __future__ import annotations

import pytest

from query import jobcounts
from query.jobcounts import JobCounter, JobCounts
from tests.integration.query.site import Site
from tsobs.db import open_database
from tsobs.viewer import EVERYBODY, Viewer

ALICE = Viewer("alice", frozenset(), user="alice")
BETA = Viewer("beta", frozenset(), cluster="beta")


@pytest.fixture(autouse=True)
def every_committed_key_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobcounts, "KEYS_IN_FLIGHT", 0)


async def read(url: str, counter: JobCounter, viewer: Viewer = EVERYBODY) -> JobCounts:
    async with (
        open_database(url, role="tsobs_query", size=1) as database,
        database.transaction(readonly=True) as connection,
    ):
        return await counter.read(connection, viewer)


def known(counts: JobCounts) -> dict[str, int]:
    return {state: number for state, number in counts.by_state.items() if number}


async def test_all_states_are_there(database_url: str) -> None:
    counts = await read(database_url, JobCounter())
    assert counts.by_state == dict.fromkeys(jobcounts.STATES, 0)
    assert counts.ever == 0


async def test_new_and_running_jobs_are_counted_each_time(site: Site, database_url: str) -> None:
    counter = JobCounter()
    for state in ("completed", "completed", "failed", "running", "pending"):
        await site.job(state=state, run=await site.store.fetchval("select random() * 1e9"))
    first = await read(database_url, counter)
    assert known(first) == {"completed": 2, "failed": 1, "running": 1, "pending": 1}
    await site.job("new", state="cancelled")
    await site.job("newer")
    second = await read(database_url, counter)
    assert known(second) == {**known(first), "cancelled": 1, "running": 2}
    assert (first.ever, second.ever) == (5, 7)


async def test_ended_jobs_are_counted_anew_when_it_is_time(
    site: Site, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = JobCounter()
    await site.job()
    await read(database_url, counter)
    await site.store.execute("update tsobs_store.job set state = 'completed'")
    stale = await read(database_url, counter)
    assert (known(stale), stale.ever) == ({}, 1)
    monkeypatch.setattr(jobcounts, "RECOUNT_S", 0.0)
    monkeypatch.setattr(jobcounts, "RECOUNT_SHARE", 0.0)
    fresh = JobCounter()
    for _ in range(2):
        assert known(await read(database_url, fresh)) == {"completed": 1}


async def test_a_deleted_job_was_there_once(site: Site, database_url: str) -> None:
    await site.job("1", state="completed", deleted_at=site.now)
    await site.job("2", deleted_at=site.now)
    counts = await read(database_url, JobCounter())
    assert (known(counts), counts.ever) == ({}, 2)


async def test_a_bound_viewer_counts_what_it_may_see(site: Site, database_url: str) -> None:
    await site.job("1")
    await site.job("2", user_name="bob", state="failed")
    await site.job("3", user_name="bob", cluster="beta", state="failed")
    counter = JobCounter()
    assert known(await read(database_url, counter, ALICE)) == {"running": 1}
    assert known(await read(database_url, counter, BETA)) == {"failed": 1}
    assert known(await read(database_url, counter)) == {"running": 1, "failed": 2}
