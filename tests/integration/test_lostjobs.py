"""The service looks for lost jobs by itself, counts them, and stops when it is told to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from tsobs.lostjobs import LostJobs, lose_jobs_once

MADE = """
with made as (
    insert into tsobs_store.job (cluster, scheduler, job_id, state, start_at, first_seen_at)
    values ('c', 'slurm', '1', 'running', now() - interval '1 h', now() - interval '1 h')
    returning job_key
), node as (
    insert into tsobs_store.node (cluster, name, last_sample_at) values ('c', 'n1', now())
    returning node_id
)
insert into tsobs_store.job_node (job_key, node_id, sample_count, last_sample_at)
select job_key, node_id, 1, now() - interval '30 min' from made, node
"""


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.02)
    pytest.fail("this did not happen in time")


async def test_it_is_done_again_and_again_and_counted(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tsobs.lostjobs")
    registry = CollectorRegistry()
    looking = asyncio.create_task(LostJobs(registry).keep_looking(database_url, 0.02))
    connection = await asyncpg.connect(database_url)
    await connection.execute(MADE)
    await until(lambda: registry.get_sample_value("tsobs_jobs_lost_total") == 1)
    await until(lambda: "1 jobs are no longer seen" in caplog.text)
    assert "1 jobs are no longer seen" in caplog.text
    [job] = await connection.fetch("select state, state_reason from tsobs_store.job")
    assert list(job) == ["unknown", "lost"]
    await connection.close()
    looking.cancel()
    await asyncio.wait([looking])
    assert looking.cancelled()
    assert await lose_jobs_once(database_url) == 0


async def test_a_database_that_is_away_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    url = "postgresql://nobody@127.0.0.1:1/none"
    looking = asyncio.create_task(LostJobs(CollectorRegistry()).keep_looking(url, 0.01))
    await until(lambda: caplog.text.count("the look for lost jobs failed, again in 0.01 s") >= 2)
    looking.cancel()
    await asyncio.wait([looking])
