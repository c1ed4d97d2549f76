"""Jobs whose end nobody reported: who is lost, when, and what a real event makes of it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from tests.integration.sql.observing import Connection, Jobs

INTERVAL_S = 15


class Site:
    """Nodes and what their agents saw of jobs, in minutes from a fixed start."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self.connection = jobs.connection

    async def node(self, name: str, last: float | None, aliases: tuple[str, ...] = ()) -> None:
        """A node that reported last at that minute; None: it has no agent."""
        await self.connection.execute(
            "insert into tsobs_store.node (cluster, name, aliases, interval_s, last_sample_at)"
            " values ('alpha', $1, $2, $3, $4) on conflict (cluster, name) do update"
            " set last_sample_at = excluded.last_sample_at",
            name,
            list(aliases),
            INTERVAL_S,
            None if last is None else self.jobs.at(last),
        )

    async def sampled(
        self, job_key: int, node: str, last: float | None, gone: float | None = None
    ) -> None:
        """The job's last sample there, and when the agent said that it is gone."""
        await self.connection.execute(
            "insert into tsobs_store.job_node"
            " (job_key, node_id, interval_s, sample_count, last_sample_at, gone_at)"
            " select $1, node_id, $3, 1, $4, $5 from tsobs_store.node where name = $2",
            job_key,
            node,
            INTERVAL_S,
            None if last is None else self.jobs.at(last),
            None if gone is None else self.jobs.at(gone),
        )

    async def lose(self, minute: float) -> int | None:
        """A round of maintenance at that minute."""
        lost: int | None = await self.connection.fetchval(
            "select tsobs_store.lose_jobs($1)", self.jobs.at(minute)
        )
        return lost


@pytest.fixture
def site(jobs: Jobs) -> Site:
    return Site(jobs)


async def running(site: Site, *nodes: str, job_id: str = "7") -> int:
    """A job that hooks said is on these nodes since minute 0."""
    seen = await site.jobs.started(0, job_id=job_id, restart_count=0, nodes=list(nodes))
    return seen.job_key


async def test_a_job_gone_from_all_its_nodes_is_lost_after_ten_intervals(site: Site) -> None:
    key = await running(site, "n1", "n2")
    for name, gone in (("n1", 20.0), ("n2", 21.0)):
        await site.node(name, 60)
        await site.sampled(key, name, gone, gone)
    assert await site.lose(23.4) == 0
    assert await site.lose(23.6) == 1
    row = await site.jobs.row(key)
    assert (row["state"], row["state_reason"], row["end_at"]) == (
        "unknown",
        "lost",
        site.jobs.at(21),
    )
    assert (row["ranks"]["state"], row["ranks"]["end_at"]) == (1, 1)
    [*_, event] = await site.jobs.events(key)
    assert (event["kind"], event["actor"], event["source"], event["rank"]) == (
        "lost",
        "tsobs",
        "maintenance",
        1,
    )
    assert event["old"] == {"state": "running"}
    assert await site.lose(30) == 0


CASES: list[tuple[str, dict[str, Any], bool]] = [
    ("unsampled on a node that reports", {"last": 20, "node": 30}, True),
    ("not yet for long enough", {"last": 28, "node": 30}, False),
    ("its node does not report", {"last": 20, "node": 20}, False),
    ("its node stopped just now", {"last": 20, "node": 29.2}, False),
    ("still there", {"last": 30, "node": 30}, False),
    ("gone, then seen again", {"last": 30, "gone": 20, "node": 30}, False),
    ("gone, and its node is off", {"last": 20, "gone": 20, "node": 20}, True),
    ("gone before any sample", {"last": None, "gone": 20, "node": 30}, True),
]


@pytest.mark.parametrize(("case", "seen", "is_lost"), CASES)
async def test_who_is_lost(site: Site, case: str, seen: dict[str, Any], is_lost: bool) -> None:
    key = await running(site, "n1")
    await site.node("n1", seen["node"])
    await site.sampled(key, "n1", seen["last"], seen.get("gone"))
    assert bool(await site.lose(30)) is is_lost


async def test_a_job_that_only_hooks_told_of_is_not_lost(site: Site) -> None:
    """A site without agents, or with agents that see no jobs."""
    await running(site, "n1", job_id="no agents")
    await site.node("n2", 3000)
    await running(site, "n2", job_id="no samples")
    assert await site.lose(3000) == 0


async def test_one_node_that_has_it_or_says_nothing_is_enough(site: Site) -> None:
    for name, last in (("gone", 30), ("has it", 30), ("silent", None), ("never saw it", 30)):
        await site.node(name, last, (f"{name}.example.org",))
    there = await running(site, "gone", "has it", job_id="1")
    await site.sampled(there, "gone", 5, 5)
    await site.sampled(there, "has it", 30)
    silent = await running(site, "gone", "silent", job_id="2")
    await site.sampled(silent, "gone", 5, 5)
    unheard = await running(site, "gone", "never heard of", job_id="3")
    await site.sampled(unheard, "gone", 5, 5)
    assert await site.lose(30) == 0
    lost = await running(site, "gone", "never saw it.example.org", job_id="4")
    await site.sampled(lost, "gone", 5, 5)
    assert await site.lose(30) == 1


async def test_a_real_event_overrides_it_and_late_samples_do_not(site: Site) -> None:
    key = await running(site, "n1")
    await site.node("n1", 60)
    await site.sampled(key, "n1", 20, 20)
    assert await site.lose(30) == 1
    late = await site.jobs.observe(
        1, rank=2, is_start=True, restart_count=0, state="running", start_at=site.jobs.at(1)
    )
    assert late.job_key == key
    assert (await site.jobs.row(key))["state"] == "unknown"
    told = await site.jobs.ended(20.1, spoken_of=0)
    assert (told.job_key, told.outcome) == (key, "updated")
    row = await site.jobs.row(key)
    assert (row["state"], row["state_reason"]) == ("completed", None)
    assert row["end_at"] == site.jobs.at(20.1)
    assert await site.lose(60) == 0


async def test_an_event_before_the_end_that_was_seen_overrides_it_too(site: Site) -> None:
    key = await running(site, "n1")
    await site.node("n1", 60)
    await site.sampled(key, "n1", 20, 20)
    assert await site.lose(30) == 1
    await site.jobs.ended(19, spoken_of=0, rank=4)
    assert (await site.jobs.row(key))["end_at"] == site.jobs.at(19)


async def test_an_id_used_again_after_a_lost_run_is_another(site: Site) -> None:
    """With agents alone: without the end, the second run would be one more node of the first."""
    first = await site.jobs.observe(
        0, rank=2, is_start=True, restart_count=0, state="running", start_at=site.jobs.at(0)
    )
    await site.node("n1", 60)
    await site.sampled(first.job_key, "n1", 20, 20)
    assert await site.lose(30) == 1
    second = await site.jobs.observe(
        3000, rank=2, is_start=True, restart_count=0, state="running", start_at=site.jobs.at(3000)
    )
    assert second.outcome == "created"
    assert await site.jobs.runs() == [(0, 0), (0, 1)]


async def test_one_at_a_time(site: Site, database_url: str) -> None:
    other = await asyncpg.connect(database_url)
    await other.execute("select pg_advisory_lock(hashtextextended('tsobs.lose_jobs', 0))")
    assert await site.lose(0) is None
    await other.close()


async def test_a_look_takes_what_runs_alone_however_many_have_ended(
    connection: Connection, site: Site
) -> None:
    await connection.execute(
        "insert into tsobs_store.job (cluster, scheduler, job_id, state, start_at, first_seen_at)"
        " select 'alpha', 'slurm', 'old' || n, 'completed', $1, $1"
        " from generate_series(1, 20000) n",
        site.jobs.at(0) - timedelta(days=9),
    )
    await connection.execute("analyze tsobs_store.job")
    key = await running(site, "n1")
    await site.node("n1", 30)
    await site.sampled(key, "n1", 5)
    await connection.fetch("select * from tsobs_store.lost_jobs($1)", site.jobs.at(30))  # planned
    explained = await connection.fetchval(
        "explain (analyze, buffers, format json) select * from tsobs_store.lost_jobs($1)",
        site.jobs.at(30),
    )
    [plan] = json.loads(explained)
    assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] < 300
    assert await site.lose(30) == 1
