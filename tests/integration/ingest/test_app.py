"""The ingest side as a whole: opened, stopped in the middle of its work, and one among several."""

from __future__ import annotations

import asyncio
import signal
import time

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from ingest.app import open_ingest
from tests.batches import Agent, row
from tests.fix_process import StartProcess
from tests.integration.ingest.sending import Answer, Sender, Stored, open_sender
from tests.integration.ingest.traffic import Traffic, check_stored
from tsobs.errors import Overloaded
from tsobs.routes import ROUTES
from tsobs.settings import Settings


async def test_it_answers_exactly_its_routes(database_url: str) -> None:
    registry = CollectorRegistry()
    async with open_ingest(Settings(database_url=database_url), registry) as handlers:
        own = {(r.method, r.path) for r in ROUTES if r.roles == {"all", "ingest"}}
        assert set(handlers) == own
        names = {family.name for family in registry.collect()}
    assert {"tsobs_ingest_queue_bytes", "tsobs_ingest_rejected_rows"} <= names


async def test_it_does_not_open_without_a_database() -> None:
    settings = Settings(database_url="postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(Overloaded):
        async with open_ingest(settings, CollectorRegistry()):
            pytest.fail("opened without a database")


async def send_until_stopped(sender: Sender, node: str, answers: list[Answer]) -> int:
    """Sends batch after batch, each with 1 CPU second; how many got no answer."""
    agent = Agent(node)
    while True:
        batch = agent.batch(node_sample=[row(time.time(), cpu_user_s=1.0)])
        try:
            answer = await sender.post(batch)
        except (aiohttp.ClientError, TimeoutError):
            return 1
        answers.append(answer)
        if answer.status != 200:
            return 0


async def test_what_was_acknowledged_before_a_stop_is_there(
    tsobs_process: StartProcess, database_url: str, stored: Stored
) -> None:
    process = tsobs_process("serve", "--port", "0", DATABASE_URL=database_url)
    url = await asyncio.to_thread(process.ready)
    answers: list[Answer] = []
    async with open_sender(url) as sender:
        senders = [
            asyncio.create_task(send_until_stopped(sender, f"n{n}", answers)) for n in range(20)
        ]
        await asyncio.sleep(1.0)
        assert await asyncio.to_thread(process.stop, signal.SIGTERM) == 0
        async with asyncio.timeout(20):
            unanswered = sum(await asyncio.gather(*senders))
    acknowledged = sum(answer.status == 200 for answer in answers)
    assert acknowledged > 20
    assert {answer.status for answer in answers} <= {200, 503}
    held = (await stored.counts())["node_sample"]
    # What got no answer may or may not be there; its sender asks again.
    assert acknowledged <= held <= acknowledged + unanswered
    assert await stored.value("select sum(cpu_user_s)::int from tsobs_store.node") == held
    assert "Traceback" not in "".join(process.err)


async def test_processes_of_the_ingest_role_share_one_stream_of_batches(
    tsobs_process: StartProcess, database_url: str, stored: Stored
) -> None:
    process = tsobs_process(
        "serve", "--role", "ingest", "--workers", "2", "--port", "0", DATABASE_URL=database_url
    )
    url = await asyncio.to_thread(process.ready)
    traffic = Traffic(9, nodes=6, per_node=4)
    async with open_sender(url) as one, open_sender(url) as other:
        twice = [sender.post_until_taken(b) for b in traffic.batches for sender in (one, other)]
        answers = await asyncio.gather(*twice)
    statuses = [answer.body["status"] for answer in answers]
    assert statuses.count("accepted") == statuses.count("duplicate") == len(traffic.batches)
    await check_stored(stored, traffic.rows)
    assert await asyncio.to_thread(process.stop) == 0
