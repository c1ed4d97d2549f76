"""Running totals are the sums over the samples, whatever came in which order."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from tests.batches import Agent, job, row
from tests.integration.ingest.sending import Sender, Stored, accepted
from tests.integration.ingest.traffic import Traffic, check_stored

NOW = float(int(time.time()))
LONG = [pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 40)]


@pytest.mark.parametrize("seed", [0, 1, 2, *LONG])
async def test_totals_are_the_sums_in_any_order_and_grouping(
    sender: Sender, stored: Stored, seed: int
) -> None:
    traffic = Traffic(seed, per_node=6)
    source = random.Random(seed)
    waiting = list(traffic.batches)
    statuses = []
    while waiting:
        together = [waiting.pop() for _ in range(min(len(waiting), source.randint(1, 8)))]
        statuses += accepted(await asyncio.gather(*map(sender.post, together)))
        if source.random() < 0.3:
            again = accepted(await asyncio.gather(*map(sender.post, together)))
            assert set(again) == {"duplicate"}
    assert set(statuses) == {"accepted"}
    await check_stored(stored, traffic.rows)


async def test_the_newest_row_tells_the_gauges_even_when_it_comes_first(
    sender: Sender, stored: Stored
) -> None:
    agent = Agent()
    loads = [(NOW - 15, 2.0), (NOW, 3.0), (NOW - 30, 1.0)]
    for at, load in loads:
        batch = agent.batch(
            jobs=[job()],
            gpus=[{"uuid": "GPU-0"}],
            node_sample=[row(at, load1=load)],
            job_sample=[row(at, job=0, memory_used_bytes=load)],
            gpu_sample=[row(at, gpu=0, job=0, share=1, power_w=load)],
        )
        accepted([await sender.post(batch)])
    assert await stored.value("select load1 from tsobs_store.node") == 3.0
    assert await stored.value("select memory_used_bytes from tsobs_store.job_node") == 3.0
    assert await stored.value("select power_w from tsobs_store.gpu") == 3.0
    assert await stored.value("select power_w from tsobs_store.job_gpu") == 3.0
    assert await stored.value("select memory_used_bytes_max from tsobs_store.job_node") == 3.0


async def test_a_gauge_that_is_no_longer_measured_is_null(sender: Sender, stored: Stored) -> None:
    agent = Agent()
    accepted([await sender.post(agent.batch(node_sample=[row(NOW - 15, load1=2.0)]))])
    accepted([await sender.post(agent.batch(node_sample=[row(NOW)]))])
    assert await stored.value("select load1 from tsobs_store.node") is None


async def test_a_zero_in_a_total_that_was_null_makes_it_zero(
    sender: Sender, stored: Stored
) -> None:
    agent = Agent()
    accepted([await sender.post(agent.batch(node_sample=[row(NOW - 15)]))])
    assert await stored.value("select cpu_user_s from tsobs_store.node") is None
    accepted([await sender.post(agent.batch(node_sample=[row(NOW, cpu_user_s=0.0)]))])
    assert await stored.value("select cpu_user_s from tsobs_store.node") == 0.0


async def test_what_a_gpu_is_stays_known_when_its_samples_do_not_say(
    sender: Sender, stored: Stored
) -> None:
    gpu = {"uuid": "GPU-0", "vendor": "nvidia", "model": "H100", "memory_total_bytes": 8e10}
    batch = Agent().batch(gpus=[gpu], gpu_sample=[row(NOW, gpu=0, share=1, power_w=100.0)])
    accepted([await sender.post(batch)])
    held = await stored.one("select vendor, model, memory_total_bytes from tsobs_store.gpu")
    assert held == {"vendor": "nvidia", "model": "H100", "memory_total_bytes": 8e10}
