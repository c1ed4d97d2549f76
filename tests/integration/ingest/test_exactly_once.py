"""Nothing acknowledged is lost and nothing is counted twice: copies, races, reordering, clones."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from tests.batches import Agent, job, row
from tests.fix_service import StartService
from tests.integration.ingest.sending import Sender, Stored, accepted, open_sender
from tests.integration.ingest.traffic import Traffic, check_stored

NOW = float(int(time.time()))


def small(agent: Agent, seq: int | None = None, *, cpu_s: float = 1.0, at: float = NOW) -> Any:
    rows = [row(at, job=0, cpu_user_s=cpu_s)]
    return agent.batch(jobs=[job(started_at=NOW - 300)], job_sample=rows, seq=seq)


async def cpu_s(stored: Stored) -> tuple[float, float]:
    """The sum over the samples, and the total."""
    total = await stored.value("select sum(cpu_user_s) from tsobs_store.job_node")
    return await stored.value("select sum(cpu_user_s) from tsobs_store.job_sample"), total


async def test_a_batch_that_comes_again_is_answered_and_not_stored(
    sender: Sender, stored: Stored
) -> None:
    batch = small(Agent())
    first = await sender.post(batch)
    second = await sender.post(batch)
    assert (first.body["status"], first.body["stored"]) == ("accepted", {"job_sample": 1})
    assert (second.status, second.body["status"]) == (200, "duplicate")
    assert (second.body["stored"], second.body["rejected_count"]) == ({}, 0)
    assert await cpu_s(stored) == (1.0, 1.0)


async def test_copies_in_flight_at_once_are_stored_once(sender: Sender, stored: Stored) -> None:
    agent = Agent()
    rounds = 25
    for _ in range(rounds):
        batch = small(agent)
        statuses = accepted(await asyncio.gather(*(sender.post(batch) for _ in range(4))))
        assert sorted(statuses) == ["accepted", "duplicate", "duplicate", "duplicate"]
    assert await cpu_s(stored) == (rounds, rounds)
    ledger = await stored.one("select batches, accepted::text from tsobs_store.ingest_stream")
    assert ledger == {"batches": rounds, "accepted": f"{{[1,{rounds + 1})}}"}


async def test_copies_sent_to_two_services_at_once_are_stored_once(
    start_service: StartService, stored: Stored
) -> None:
    urls = [await start_service(ingest_connections=4), await start_service(ingest_connections=4)]
    traffic = Traffic(5, nodes=6, per_node=5)
    source = random.Random(5)
    async with open_sender(urls[0]) as one, open_sender(urls[1]) as other:
        waiting = list(traffic.batches)
        taken = 0
        while waiting:
            together = [waiting.pop() for _ in range(min(len(waiting), 6))]
            calls = [sender.post_until_taken(b) for b in together for sender in (one, other)]
            source.shuffle(calls)
            statuses = accepted(await asyncio.gather(*calls))
            assert statuses.count("accepted") == len(together)
            taken += len(together)
    await check_stored(stored, traffic.rows)
    assert await stored.value("select sum(batches)::int from tsobs_store.ingest_stream") == taken


async def test_a_stream_may_come_in_any_order_with_any_gap(sender: Sender, stored: Stored) -> None:
    agent = Agent()
    seqs = [7, 3, 1_000_000, 1, 2, 2**62 - 1, 5]
    for n, seq in enumerate(seqs):
        batch = small(agent, seq, at=NOW - n)
        assert accepted([await sender.post(batch)]) == ["accepted"]
    ledger = await stored.one("select accepted::text, newest_seq from tsobs_store.ingest_stream")
    spans = "{[1,4),[5,6),[7,8),[1000000,1000001),[4611686018427387903,4611686018427387904)}"
    assert ledger == {"accepted": spans, "newest_seq": 2**62 - 1}
    assert await cpu_s(stored) == (len(seqs), len(seqs))


async def test_a_replay_of_everything_changes_nothing(sender: Sender, stored: Stored) -> None:
    traffic = Traffic(6)
    accepted(await asyncio.gather(*map(sender.post, traffic.batches)))
    tables = ("job", "job_node", "job_gpu", "job_event", "node", "gpu", "ingest_stream")
    before = {table: await stored.rows(table) for table in tables}
    random.Random(6).shuffle(traffic.batches)
    statuses = accepted(await asyncio.gather(*map(sender.post, traffic.batches)))
    assert set(statuses) == {"duplicate"}
    await check_stored(stored, traffic.rows)
    after = {table: await stored.rows(table) for table in tables}
    for table in tables:
        assert sorted(map(repr, after[table])) == sorted(map(repr, before[table])), table


async def test_an_answer_that_is_lost_on_the_way_is_no_harm(sender: Sender, stored: Stored) -> None:
    agent = Agent()
    parts = urlsplit(sender.url)
    count = 20
    for n in range(count):
        text = orjson.dumps(small(agent, at=NOW - n))
        head = f"POST /v1/samples HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(text)}"
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(f"{head}\r\nContent-Type: application/json\r\n\r\n".encode() + text)
        await writer.drain()
        with suppress(TimeoutError):
            await asyncio.wait_for(reader.read(1), random.Random(n).uniform(0, 0.03))
        writer.transport.abort()
        answer = await sender.post_bytes(text)
        assert answer.body["status"] in ("accepted", "duplicate")
    assert await cpu_s(stored) == (count, count)


# Clones: the stream belongs to one agent.


async def refused_as_clone(sender: Sender, stored: Stored, batch: Any) -> None:
    before = await stored.counts(), await stored.rows("job_node"), await stored.rows("node")
    ledger = await stored.rows("ingest_stream")
    answer = await sender.post(batch)
    assert answer.refusal == (409, "stream_conflict", "stream")
    assert answer.body["details"]["rule"] == "one agent a stream"
    assert await stored.rows("ingest_stream") == ledger
    after = await stored.counts(), await stored.rows("job_node"), await stored.rows("node")
    assert after[0] == before[0]
    samples = [row["sample_count"] for row in after[1] + after[2] if row["sample_count"]]
    assert samples == [row["sample_count"] for row in before[1] + before[2] if row["sample_count"]]


@pytest.fixture
async def known(sender: Sender) -> Agent:
    """An agent that has sent batches 1 to 3."""
    agent = Agent("n1")
    for _ in range(3):
        accepted([await sender.post(small(agent))])
    return agent


@pytest.mark.parametrize(("node", "machine_id"), [("n2", "machine of n1"), ("n1", "another")])
async def test_a_stream_from_another_node_or_machine_is_a_conflict(
    sender: Sender, stored: Stored, known: Agent, node: str, machine_id: str
) -> None:
    clone = Agent(node, machine_id=machine_id)
    clone.stream = known.stream
    for seq in (3, 4, 1, 2**40):
        await refused_as_clone(sender, stored, small(clone, seq))


async def test_the_newest_seq_with_another_body_is_a_conflict(
    sender: Sender, stored: Stored, known: Agent
) -> None:
    await refused_as_clone(sender, stored, small(known, 3, cpu_s=2.0))
    # The agent itself goes on; the clone under a stream of its own.
    assert accepted([await sender.post(small(known))]) == ["accepted"]
    assert accepted([await sender.post(small(Agent("n1"), cpu_s=2.0))]) == ["accepted"]
    assert await cpu_s(stored) == (6.0, 6.0)


async def test_two_clones_at_once_with_the_same_seq_one_wins(
    sender: Sender, stored: Stored
) -> None:
    for n in range(15):
        agent = Agent("n1")
        both = [small(agent, 1, cpu_s=1.0, at=NOW - n), small(agent, 1, cpu_s=3.0, at=NOW - n)]
        answers = await asyncio.gather(*map(sender.post, both))
        assert sorted(answer.status for answer in answers) == [200, 409]
    assert (await stored.counts())["job_sample"] == 15


async def test_a_conflict_does_not_fail_those_in_the_same_flush(
    sender: Sender, stored: Stored, known: Agent
) -> None:
    clone = Agent("n2")
    clone.stream = known.stream
    others = [Agent(f"m{n}") for n in range(10)]
    together = [small(clone, 4), *(small(agent) for agent in others), small(known, 3)]
    answers = await asyncio.gather(*map(sender.post, together))
    assert answers[0].status == 409
    assert accepted(answers[1:-1]) == ["accepted"] * len(others)
    assert accepted(answers[-1:]) == ["duplicate"]
    assert await cpu_s(stored) == (13.0, 13.0)
