"""Samples whose run turns out to be another go there with all totals, and no cache keeps an old
key."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from tests.batches import Agent, job, row
from tests.integration.ingest.sending import Sender, Stored, accepted
from tests.integration.ingest.test_jobs import FINISHED_PATH, STARTED_PATH, finished, iso, started

DAY = 86_400.0
NOW = float(int(time.time()))
FIRST, SECOND = NOW - 3 * DAY, NOW - DAY
MINUTE = 60.0


def sampled(agent: Agent, job_id: str, start: float, *numbers: int) -> dict[str, Any]:
    """Intervals of a run by number, each with values that tell it from all others."""
    known = job(job_id, started_at=start, restart_count=0, cpus=4.0)
    rows = [
        row(
            start + 15 * n,
            job=0,
            cpu_user_s=float(2**n),
            cpu_system_s=1.0,
            cpus_allocated=4.0,
            memory_used_bytes=float(start % 1000 + n),
            processes=float(n),
        )
        for n in numbers
    ]
    gpu_rows = [
        row(start + 15 * n, gpu=0, job=0, share=0.5, utilization_ratio=n / 16, energy_j=2.0**n)
        for n in numbers
    ]
    return agent.batch(
        jobs=[known], gpus=[{"uuid": f"GPU-{job_id}"}], job_sample=rows, gpu_sample=gpu_rows
    )


async def totals(stored: Stored, job_id: str, table: str) -> list[Mapping[str, Any]]:
    """The totals of an id's runs in the order of their starts, without the keys."""
    rows = await stored.all(
        f"select t.*, j.run from tsobs_store.{table} t join tsobs_store.job j using (job_key)"
        " where j.job_id = $1 order by j.start_at, t.node_id",
        job_id,
    )
    return [{k: v for k, v in each.items() if k not in ("job_key", "gpu_id")} for each in rows]


async def test_the_samples_of_a_run_that_is_told_of_late(sender: Sender, stored: Stored) -> None:
    """An id is used again and the agent is heard before the prolog: until that tells, it could be
    one more node of the first run."""

    async def tell(job_id: str, *order: str) -> None:
        agent = Agent("n1")
        both = {"job_id": job_id, "restart_count": 0}
        for step in order:
            match step:
                case "start 1" | "start 2":
                    at = FIRST if step == "start 1" else SECOND
                    await sender.post(started(timestamp=iso(at), **both), STARTED_PATH)
                case "samples 1":
                    batch = sampled(agent, job_id, FIRST + 5, 1, 2, 3)
                    accepted([await sender.post(batch)])
                case "samples 2":
                    batch = sampled(agent, job_id, SECOND + 5, 1, 2)
                    accepted([await sender.post(batch)])
                case "more 2":
                    batch = sampled(agent, job_id, SECOND + 5, 3)
                    accepted([await sender.post(batch)])

    await tell("late", "start 1", "samples 1", "samples 2", "start 2", "more 2")
    await tell("right", "start 1", "start 2", "samples 1", "samples 2", "more 2")
    for table in ("job_node", "job_gpu"):
        late, right = await totals(stored, "late", table), await totals(stored, "right", table)
        assert [each["sample_count"] for each in late] == [3, 3]
        assert late == right
    for table in ("job_sample", "gpu_sample"):
        held = await stored.all(
            f"select j.run, min(s.time) as first, count(*) as n from tsobs_store.{table} s"
            " join tsobs_store.job j using (job_key) where job_id = 'late' group by 1 order by 1"
        )
        assert [(each["run"], each["n"]) for each in held] == [(0, 3), (1, 3)]
        assert held[1]["first"].timestamp() == SECOND + 20
    assert await stored.orphans() == []
    kinds = await stored.all(
        "select distinct kind from tsobs_store.job_event join tsobs_store.job using (job_key)"
        " where job_id = 'late'"
    )
    assert {each["kind"] for each in kinds} == {"started", "reassigned"}


async def test_two_rows_that_turn_out_to_be_one_run(sender: Sender, stored: Stored) -> None:
    """Starts without a restart_count an hour and a half apart are two runs, until one in between
    joins them."""
    for n, minutes in enumerate((0, 90)):
        at = FIRST + minutes * MINUTE
        await sender.post(started(job_id="1", timestamp=iso(at)), STARTED_PATH)
        known = job("1", started_at=at + 5)
        batch = Agent(f"n{n}").batch(
            jobs=[known], job_sample=[row(at + 20, job=0, cpu_user_s=2.0**n)]
        )
        accepted([await sender.post(batch)])
    assert len(await stored.rows("job")) == 2
    between = started(job_id="1", timestamp=iso(FIRST + 45 * MINUTE))
    assert (await sender.post(between, STARTED_PATH)).body["status"] == "updated"
    [found] = await stored.rows("job")
    assert found["start_at"].timestamp() == FIRST
    used = await stored.all("select job_key, cpu_user_s from tsobs_store.job_node order by 2")
    assert [each["cpu_user_s"] for each in used] == [1.0, 2.0]
    assert await stored.orphans() == []
    joined = await stored.one("select * from tsobs_store.job_event where kind = 'joined'")
    assert joined["job_key"] == found["job_key"]


async def test_what_hooks_told_of_nodes_goes_along(sender: Sender, stored: Stored) -> None:
    """An ending without a start was taken for the first run's; its allocation was not."""
    both = {"job_id": "1", "restart_count": 0}
    alloc = [{"node": "n1", "cpus": 3, "memory_bytes": 1024, "gpus": ["GPU-2", "GPU-1"]}]
    await sender.post(started(timestamp=iso(FIRST), **both, nodes_alloc=alloc), STARTED_PATH)
    await sender.post(finished(timestamp=iso(SECOND + 60), **both), FINISHED_PATH)
    await sender.post(started(timestamp=iso(SECOND), **both), STARTED_PATH)
    found = await stored.all("select state, end_at from tsobs_store.job order by run")
    assert [each["state"] for each in found] == ["running", "failed"]
    held = await stored.one("select * from tsobs_store.job_node")
    assert (held["allocated_cpus"], held["allocated_memory_bytes"]) == (3.0, 1024)
    assert (held["gpu_devices"], held["allocated_rank"]) == (["GPU-1", "GPU-2"], 3)
    # An agent's word is less than a hook's.
    batch = Agent("n1", cluster="default").batch(
        jobs=[job("1", started_at=FIRST + 5, restart_count=0, cpus=8.0)]
    )
    accepted([await sender.post(batch)])
    assert (await stored.one("select * from tsobs_store.job_node"))["allocated_cpus"] == 3.0
