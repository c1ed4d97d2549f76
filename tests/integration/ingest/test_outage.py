"""The database goes away, or refuses: senders keep their data and it is stored once in the end."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any

import pytest

from tests.batches import Agent, job, row
from tests.fix_proxy import Proxy
from tests.fix_service import StartService
from tests.integration.ingest.sending import Sender, Stored, accepted, open_sender
from tests.integration.ingest.traffic import Traffic, check_stored

NOW = float(int(time.time()))


def small(agent: Agent, cpu_s: float = 1.0) -> Any:
    return agent.batch(
        jobs=[job(f"job of {agent.node}", started_at=NOW - 300)],
        gpus=[{"uuid": f"GPU of {agent.node}"}],
        job_sample=[row(NOW, job=0, cpu_user_s=cpu_s)],
        gpu_sample=[row(NOW, gpu=0, job=0, share=1, energy_j=1.0)],
        node_sample=[row(NOW, cpu_user_s=cpu_s)],
    )


async def test_while_the_database_is_away_senders_are_told_to_come_again(
    start_service: StartService, database_proxy: Proxy, stored: Stored
) -> None:
    url = await start_service(database_url=database_proxy.url)
    agents = [Agent(f"n{n}") for n in range(5)]
    async with open_sender(url) as sender:
        known = [small(agent) for agent in agents]
        accepted(await asyncio.gather(*map(sender.post, known)))
        await database_proxy.cut()
        fresh = [small(agent) for agent in (*agents, Agent("new"))]
        for answer in await asyncio.gather(*map(sender.post, fresh)):
            assert answer.refusal == (503, "unavailable", None)
            assert 1 <= int(answer.headers["Retry-After"]) <= 60
        await database_proxy.open()
        answers = await asyncio.gather(*map(sender.post_until_taken, fresh))
        assert accepted(answers) == ["accepted"] * len(fresh)
        assert set(accepted(await asyncio.gather(*map(sender.post, fresh)))) == {"duplicate"}
    assert await stored.value("select sum(cpu_user_s) from tsobs_store.job_node") == 11.0
    assert (await stored.counts())["node_sample"] == 11
    assert await stored.orphans() == []


async def cutting(proxy: Proxy, source: random.Random, until: asyncio.Event) -> int:
    """Cuts the database off at random moments, and lets it be reached again; more and more seldom,
    so that a slow machine gets somewhere."""
    cuts = 0
    while not until.is_set():
        await asyncio.sleep(source.uniform(0.0, 0.1 + 0.02 * cuts))
        await proxy.cut()
        cuts += 1
        await asyncio.sleep(source.uniform(0.0, 0.05))
        await proxy.open()
    return cuts


async def send_in_order(sender: Sender, batches: Sequence[Any]) -> list[str]:
    return accepted([await sender.post_until_taken(batch) for batch in batches])


@pytest.mark.parametrize(
    ("per_node", "seed"), [(2, 0), pytest.param(40, 1, marks=pytest.mark.long)]
)
async def test_cut_off_again_and_again_everything_is_stored_once(
    start_service: StartService, database_proxy: Proxy, stored: Stored, per_node: int, seed: int
) -> None:
    url = await start_service(database_url=database_proxy.url)
    traffic = Traffic(seed, nodes=50, per_node=per_node, gpus=1)
    over = asyncio.Event()
    async with open_sender(url) as sender:
        chaos = asyncio.create_task(cutting(database_proxy, random.Random(seed), over))
        by_node = [
            [batch for batch in traffic.batches if batch["node"]["name"] == agent.node]
            for agent in traffic.agents
        ]
        statuses = await asyncio.gather(*(send_in_order(sender, one) for one in by_node))
        over.set()
        assert await chaos > 3
    assert sum(map(len, statuses)) == len(traffic.batches)
    await check_stored(stored, traffic.rows)


FAIL_ONCE = """
create table public.failing (it boolean);
insert into public.failing values (true);
grant select on public.failing to public;
create function public.fail_commit() returns trigger language plpgsql as $$
begin
    if exists (select from public.failing) then
        raise exception 'the commit fails' using errcode = 'admin_shutdown';
    end if;
    return null;
end $$;
"""


@pytest.mark.parametrize("table", ["node", "job", "job_node", "gpu"])
async def test_ids_of_a_transaction_that_was_rolled_back_are_forgotten(
    sender: Sender, stored: Stored, table: str
) -> None:
    """The names are made, and then their commit fails."""
    await stored.connection.execute(FAIL_ONCE)
    await stored.connection.execute(
        f"create constraint trigger fail after insert or update on tsobs_store.{table}"
        " deferrable initially deferred for each row execute function public.fail_commit()"
    )
    batch = small(Agent())
    assert (await sender.post(batch)).status == 503
    assert sum((await stored.counts()).values()) == 0
    await stored.connection.execute("delete from public.failing")
    assert accepted([await sender.post(batch)]) == ["accepted"]
    assert await stored.orphans() == []
    assert await stored.value("select sum(cpu_user_s) from tsobs.job_node") == 1.0
    assert await stored.value("select sum(cpu_user_s) from tsobs.node") == 1.0


async def test_a_flush_whose_commit_fails_has_stored_nothing(
    sender: Sender, stored: Stored
) -> None:
    accepted([await sender.post(small(Agent("n0")))])
    await stored.connection.execute(FAIL_ONCE)
    await stored.connection.execute(
        "create constraint trigger fail after insert or update on tsobs_store.ingest_stream"
        " deferrable initially deferred for each row execute function public.fail_commit()"
    )
    before = await stored.counts(), await stored.rows("node")
    batches = [small(Agent(f"n{n}")) for n in range(3)]
    answers = await asyncio.gather(*map(sender.post, batches))
    assert {answer.status for answer in answers} == {503}
    assert await stored.counts() == before[0]
    assert [row for row in await stored.rows("node") if row["sample_count"]] == before[1]
    await stored.connection.execute("delete from public.failing")
    assert accepted(await asyncio.gather(*map(sender.post, batches))) == ["accepted"] * 3
    assert await stored.value("select sum(cpu_user_s) from tsobs_store.job_node") == 4.0


async def test_a_batch_that_the_database_refuses_fails_alone(
    sender: Sender, stored: Stored
) -> None:
    await stored.connection.execute(
        "alter table tsobs_store.job_sample add constraint poison check (cpu_user_s <> 666)"
    )
    bad: list[Any] = []
    for turn in range(5):
        good = [small(Agent(f"n{turn}-{n}"), cpu_s=2.0) for n in range(8)]
        bad = [small(Agent(f"bad{turn}-{n}"), cpu_s=666.0) for n in range(2)]
        together = [*good, *bad]
        random.Random(turn).shuffle(together)
        answers = await asyncio.gather(*map(sender.post, together))
        for batch, answer in zip(together, answers, strict=True):
            assert answer.status == (400 if batch in bad else 200)
        refusal = next(answer for answer in answers if answer.status == 400)
        assert refusal.body["error"] == "invalid_request"
        assert (await sender.post(bad[0])).status == 400
    await stored.connection.execute("alter table tsobs_store.job_sample drop constraint poison")
    assert (await stored.counts())["ingest_stream"] == 40
    assert await stored.value("select sum(cpu_user_s) from tsobs_store.job_sample") == 80.0
    assert await stored.value("select sum(cpu_user_s) from tsobs_store.job_node") == 80.0
    # What was refused took no seq: with the reason gone, the same bytes are stored.
    assert accepted([await sender.post(bad[1])]) == ["accepted"]


async def test_a_full_queue_is_503_and_nothing_is_lost(
    start_service: StartService, stored: Stored
) -> None:
    url = await start_service(ingest_queue_bytes=200_000, ingest_connections=1)
    noise = random.Random(4)  # for bodies that are large when packed, too
    rows = [row(NOW - n, cpu_user_s=1.0, load1=noise.random()) for n in range(2_000)]
    batches = [Agent(f"n{n}").batch(node_sample=[*rows[n:], *rows[:n]]) for n in range(40)]
    async with open_sender(url) as sender:
        answers = await asyncio.gather(*map(sender.post, batches))
        refused = [answer for answer in answers if answer.status == 503]
        assert refused
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
        again = await asyncio.gather(*map(sender.post_until_taken, batches))
        assert accepted(again).count("duplicate") == len(answers) - len(refused)
    assert (await stored.counts())["node_sample"] == 80_000
    assert await stored.value("select sum(cpu_user_s) from tsobs_store.node") == 80_000.0


async def test_many_agents_with_changing_facts_do_not_wait_in_a_circle(
    start_service: StartService, stored: Stored
) -> None:
    """Names are resolved beside flushes that hold the same nodes, jobs and GPUs."""
    urls = [await start_service(ingest_connections=4) for _ in range(2)]
    source = random.Random(3)
    agents = [Agent(f"n{n}") for n in range(4)]
    batches = []
    for n in range(160):
        agent = source.choice(agents)
        ids = source.sample([f"{n % 3}", "a", "b", "c", "d"], 4)
        jobs = [
            job(id_, started_at=NOW - 300, user_name=f"u{source.randrange(3)}", cpus=float(n % 5))
            for id_ in ids
        ]
        gpus = [{"uuid": f"GPU-{g}", "model": f"m{n % 2}"} for g in source.sample(range(5), 3)]
        batches.append(
            agent.batch(
                jobs=jobs,
                gpus=gpus,
                job_sample=[row(NOW - n, job=j, cpu_user_s=1.0) for j in range(4)],
                gpu_sample=[row(NOW - n, gpu=g, job=g, share=1, energy_j=1.0) for g in range(3)],
                node_sample=[row(NOW - n, cpu_user_s=1.0)],
            )
        )
    async with open_sender(urls[0]) as one, open_sender(urls[1]) as other:
        senders = [source.choice([one, other]) for _ in batches]
        answers = await asyncio.gather(
            *(sender.post(batch) for sender, batch in zip(senders, batches, strict=True))
        )
    assert accepted(answers) == ["accepted"] * len(batches)
    assert await stored.value("select sum(cpu_user_s) from tsobs_store.job_node") == 640.0
    assert await stored.value("select sum(energy_j) from tsobs_store.gpu") == 480.0
    assert await stored.orphans() == []
