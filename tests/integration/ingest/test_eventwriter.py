"""Many events in one transaction: each hears of its own, a bad one harms no neighbour."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

import ingest.eventwriter
from ingest.eventmetrics import EventMetrics
from ingest.eventwriter import EventWriter
from ingest.observation import Observation
from tsobs.db import Database, open_database
from tsobs.errors import InvalidRequest, Overloaded

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@asynccontextmanager
async def writing(url: str, writers: int = 2) -> AsyncIterator[tuple[EventWriter, Database]]:
    async with open_database(url, role="tsobs_ingest", size=writers) as database:
        writer = EventWriter(database, EventMetrics(CollectorRegistry()), writers=writers)
        running = asyncio.create_task(writer.run())
        try:
            yield writer, database
        finally:
            await writer.stop()
            await running


def told(job_id: str, **facts: Any) -> Observation:
    facts = {"state": "running", "start_at": AT} | facts
    return Observation("c", "slurm", job_id, 0, AT, True, 3, 3, facts, "told", "me", "test")


async def test_each_hears_what_became_of_its_own(database_url: str) -> None:
    async with writing(database_url) as (writer, database):
        ids = [str(n % 90) for n in range(300)]
        outcomes = await asyncio.gather(*(writer.submit(told(job_id)) for job_id in ids))
        assert sorted(outcomes) == ["created"] * 90 + ["skipped"] * 210
        more = await asyncio.gather(*(writer.submit(told(job_id, name="x")) for job_id in ids[:90]))
        assert more == ["updated"] * 90
        assert await database.pool.fetchval("select count(*) from tsobs_store.job_event") == 180


async def test_a_bad_one_harms_no_neighbour(database_url: str) -> None:
    async with writing(database_url) as (writer, _):
        waiting = [told(str(n), **({"uid": 1e30} if n % 7 == 3 else {})) for n in range(40)]
        outcomes = await asyncio.gather(*map(writer.submit, waiting), return_exceptions=True)
        for n, outcome in enumerate(outcomes):
            assert isinstance(outcome, InvalidRequest) if n % 7 == 3 else outcome == "created"


async def test_what_waits_at_the_end_is_still_committed(database_url: str) -> None:
    async with writing(database_url, writers=1) as (writer, _):
        waiting = [asyncio.create_task(writer.submit(told(str(n)))) for n in range(200)]
        await asyncio.sleep(0)
    assert await asyncio.gather(*waiting) == ["created"] * 200
    with pytest.raises(Overloaded):
        await writer.submit(told("late"))


async def test_the_queue_is_bounded(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest.eventwriter, "QUEUE", 3)
    async with writing(database_url) as (writer, _):
        waiting = (writer.submit(told(str(n))) for n in range(8))
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, Overloaded)]
        assert refused
        assert len(refused) + outcomes.count("created") == 8


async def test_sessions_of_several_services_do_not_wait_in_a_circle(database_url: str) -> None:
    async with writing(database_url) as (one, _), writing(database_url) as (other, _):
        for round_ in range(5):
            ids = [f"{round_}-{n}" for n in range(60)]
            outcomes = await asyncio.gather(
                *(one.submit(told(job_id)) for job_id in ids),
                *(other.submit(told(job_id, name="x")) for job_id in reversed(ids)),
            )
            assert outcomes.count("created") == 60
