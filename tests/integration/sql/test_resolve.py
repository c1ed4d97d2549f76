"""Which run an observation speaks of: resolve_job through the calls that use it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import permutations

import asyncpg
import pytest

from tests.integration.sql.observing import Connection, Jobs

HOUR = 60
DAY = 24 * HOUR


async def test_the_first_observation_makes_the_run(jobs: Jobs) -> None:
    seen = await jobs.started(0)
    assert seen.outcome == "created"
    assert await jobs.runs() == [(None, 0)]
    assert (await jobs.started(0)).job_key == seen.job_key


async def test_identity_is_cluster_scheduler_and_id(jobs: Jobs) -> None:
    keys = {
        (await jobs.started(0)).job_key,
        (await jobs.started(0, cluster="beta")).job_key,
        (await jobs.started(0, job_id="8")).job_key,
    }
    other = (await jobs.started(0, scheduler="pbs")).job_key
    assert len(keys | {other}) == 4


async def test_a_known_restart_count_must_match(jobs: Jobs) -> None:
    first = await jobs.started(0, restart_count=0)
    second = await jobs.started(5, restart_count=1)
    assert first.job_key != second.job_key
    assert await jobs.runs() == [(0, 0), (1, 0)]
    assert await jobs.observe(600, restart_count=0) == (first.job_key, "skipped")
    assert (await jobs.observe(1, restart_count=1)).job_key == second.job_key


async def test_a_run_adopts_its_restart_count_once(jobs: Jobs) -> None:
    seen = await jobs.observe(1, rank=2, state="running")
    adopted = await jobs.observe(0, restart_count=2)
    assert adopted == (seen.job_key, "updated")
    assert await jobs.runs() == [(2, 0)]
    [_, event] = await jobs.events(seen.job_key)
    assert (event["kind"], event["new"], event["actor"]) == (
        "restart-count",
        {"restart_count": 2},
        "me",
    )
    assert (await jobs.observe(0, restart_count=3)).outcome == "created"
    assert await jobs.observe(0, restart_count=2) == (seen.job_key, "skipped")


async def test_adopting_a_count_that_an_older_run_had(jobs: Jobs) -> None:
    await jobs.started(0, restart_count=0)
    await jobs.ended(10)
    reused = await jobs.started(5 * HOUR)
    assert await jobs.runs() == [(0, 0), (None, 0)]
    assert (await jobs.started(5 * HOUR, restart_count=0)).job_key == reused.job_key
    assert await jobs.runs() == [(0, 0), (0, 1)]


async def test_without_a_count_the_run_that_holds_the_time(jobs: Jobs) -> None:
    first = await jobs.started(0, restart_count=0)
    await jobs.ended(10)
    second = await jobs.started(12, restart_count=1)
    for minute, expected in ((0, first), (3, first), (10, first), (12, second), (20, second)):
        assert (await jobs.observe(minute)).job_key == expected.job_key, minute


async def test_an_ending_goes_to_the_run_that_began_when_it_says(jobs: Jobs) -> None:
    """Slurm's epilog of a requeued run comes late and names the next run's restart_count."""
    first = await jobs.started(0, restart_count=0)
    second = await jobs.started(12, restart_count=1)
    assert (await jobs.ended(11, spoken_of=0)).job_key == first.job_key
    assert (await jobs.row(second.job_key))["end_at"] is None


async def test_a_requeued_job_in_any_order_of_starts_and_ends(jobs: Jobs) -> None:
    """Each ending after its own start; hooks of two nodes may be late with all the rest."""
    told = {"start 0": 0, "end 0": 10, "start 1": 12, "end 1": 20}
    for n, order in enumerate(permutations(told)):
        if order.index("end 0") < order.index("start 0"):
            continue
        if order.index("end 1") < order.index("start 1"):
            continue
        keys = {}
        for one in order:
            kind, count = one.split()
            if kind == "start":
                keys[one] = await jobs.started(told[one], job_id=f"r{n}", restart_count=int(count))
            else:
                began = told[f"start {count}"]
                keys[one] = await jobs.ended(told[one], job_id=f"r{n}", spoken_of=began)
        assert keys["start 0"].job_key == keys["end 0"].job_key, order
        assert keys["start 1"].job_key == keys["end 1"].job_key, order
        assert sorted(await jobs.runs(f"r{n}")) == [(0, 0), (1, 0)], order


async def test_a_run_that_knows_its_count_is_not_passed_over(jobs: Jobs) -> None:
    """The nearest run counts, not whether it knows its restart_count."""
    await jobs.started(0)
    await jobs.ended(10)
    second = await jobs.started(DAY, restart_count=0)
    assert (await jobs.observe(DAY + 5)).job_key == second.job_key


@pytest.mark.parametrize(("minute", "is_new"), [(69, False), (70, False), (71, True), (DAY, True)])
async def test_a_start_after_the_end_is_another_run(
    jobs: Jobs, minute: float, is_new: bool
) -> None:
    await jobs.started(0, restart_count=0)
    await jobs.ended(10)
    again = await jobs.started(minute, restart_count=0)
    assert (again.outcome == "created") is is_new
    assert await jobs.runs() == ([(0, 0), (0, 1)] if is_new else [(0, 0)])


async def test_late_samples_do_not_open_a_run(jobs: Jobs) -> None:
    first = await jobs.started(0)
    await jobs.ended(10)
    late = await jobs.observe(3 * HOUR, rank=2, state="running")
    assert late == (first.job_key, "skipped")
    assert (await jobs.row(first.job_key))["state"] == "completed"


@pytest.mark.parametrize(("days", "outcome"), [(29.9, "skipped"), (30.1, "created")])
async def test_nothing_further_than_thirty_days_away(jobs: Jobs, days: float, outcome: str) -> None:
    await jobs.started(0)
    await jobs.ended(10)
    assert (await jobs.observe(10 + days * DAY)).outcome == outcome


async def test_the_window_is_a_setting(jobs: Jobs, connection: Connection) -> None:
    await connection.execute(
        "insert into tsobs_store.setting values ('resolve_window_days', $1)", "2"
    )
    await jobs.started(0)
    await jobs.ended(10)
    assert (await jobs.observe(10 + 1.9 * DAY)).outcome == "skipped"
    assert (await jobs.observe(10 + 2.1 * DAY)).outcome == "created"


async def test_an_ending_without_a_start(jobs: Jobs) -> None:
    seen = await jobs.ended(10)
    assert seen.outcome == "created"
    row = await jobs.row(seen.job_key)
    assert (row["state"], row["start_at"], row["end_at"]) == ("completed", None, jobs.at(10))
    assert (await jobs.started(4)).job_key == seen.job_key
    assert (await jobs.row(seen.job_key))["state"] == "completed"


async def test_first_seen_is_the_earliest_moment_spoken_of(jobs: Jobs) -> None:
    seen = await jobs.observe(5, name="x")
    assert (await jobs.observe(3, name="x")).outcome == "skipped"
    await jobs.observe(9, name="x")
    assert (await jobs.row(seen.job_key))["first_seen_at"] == jobs.at(3)
    assert len(await jobs.events(seen.job_key)) == 1


async def test_two_sessions_make_one_run(database_url: str) -> None:
    opened = [await asyncpg.connect(database_url) for _ in range(6)]
    try:
        for job_id in ("1", "2", "3"):
            seen = await asyncio.gather(
                *(
                    Jobs(connection).started(0, job_id=job_id, restart_count=n % 2 or None)
                    for n, connection in enumerate(opened)
                )
            )
            assert len({job_key for job_key, _ in seen}) == 1
            assert sorted(outcome for _, outcome in seen).count("created") == 1
            assert await Jobs(opened[0]).runs(job_id) == [(1, 0)]
    finally:
        for connection in opened:
            await connection.close()


async def test_sessions_wait_for_the_same_id_alone(
    connection: Connection, database_url: str
) -> None:
    same, other = [await asyncpg.connect(database_url) for _ in range(2)]
    transaction = connection.transaction()
    await transaction.start()
    first = await Jobs(connection).started(0)
    waiting = asyncio.create_task(Jobs(same).started(0))
    async with asyncio.timeout(5):
        assert (await Jobs(other).started(0, job_id="8")).outcome == "created"
    done, _ = await asyncio.wait([waiting], timeout=0.2)
    assert not done
    await transaction.commit()
    assert await waiting == (first.job_key, "skipped")
    for opened in (same, other):
        await opened.close()


async def test_spans_without_a_start_count_from_what_is_known(jobs: Jobs) -> None:
    submitted = await jobs.observe(0, state="pending", submit_at=jobs.at(0))
    assert (await jobs.observe(-29 * DAY)).job_key == submitted.job_key
    later = await jobs.observe(40 * DAY)
    assert later.job_key == submitted.job_key  # it has not ended
    assert (await jobs.row(submitted.job_key))["submit_at"] - jobs.start == timedelta(0)
