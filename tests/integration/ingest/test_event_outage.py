"""Events while the database goes away: each is on record, and in the audit trail, once."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.fix_proxy import Proxy
from tests.fix_service import StartService
from tests.integration.ingest.sending import Sender, Stored, open_sender
from tests.integration.ingest.test_jobs import FINISHED_PATH, STARTED_PATH, finished, started
from tests.integration.ingest.test_outage import cutting


async def live(sender: Sender, job_id: str, nodes: list[str]) -> None:
    """One job as its hooks tell it: every event until it is taken, and once more."""
    start = started(job_id=job_id, node_list=nodes)
    end = finished(job_id=job_id, exit_code=1 + int(job_id) % 3)
    for path, event in ((STARTED_PATH, start), (FINISHED_PATH, end)):
        taken = await sender.post_until_taken(event, path=path)
        again = await sender.post_until_taken(event, path=path)
        assert (taken.status, again.status) == (200, 200)
        assert again.body["status"] == "skipped"


@pytest.mark.parametrize(
    ("jobs", "seed"), [(150, 0), pytest.param(2_000, 1, marks=pytest.mark.long)]
)
async def test_cut_off_again_and_again_every_event_counts_once(
    start_service: StartService, database_proxy: Proxy, stored: Stored, jobs: int, seed: int
) -> None:
    url = await start_service(database_url=database_proxy.url)
    over = asyncio.Event()
    async with open_sender(url) as sender:
        chaos = asyncio.create_task(cutting(database_proxy, random.Random(seed), over))
        await asyncio.gather(*(live(sender, str(n), [f"n{n % 7}"]) for n in range(jobs)))
        over.set()
        assert await chaos > 3
    found = await stored.all(
        "select state, exit_code, count(*) as jobs from tsobs.job group by 1, 2 order by 2"
    )
    per_code = [len(range(code, jobs, 3)) for code in range(3)]
    assert found == [
        {"state": "failed", "exit_code": 1 + code, "jobs": per_code[code]} for code in range(3)
    ]
    # Told, audited: the start and the end of each, in that order.
    told = await stored.all(
        "select array_agg(new ->> 'state' order by event_id) as states,"
        " count(distinct job_key) as jobs from (select *, row_number() over"
        " (partition by job_key order by event_id) as nth from tsobs_store.job_event) as e"
        " group by nth order by nth"
    )
    assert told == [
        {"states": ["running"] * jobs, "jobs": jobs},
        {"states": ["failed"] * jobs, "jobs": jobs},
    ]
