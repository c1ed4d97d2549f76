"""What agents and hooks tell of jobs becomes one row a run, in whatever order it comes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.batches import Agent, job, row
from tests.integration.ingest.sending import Sender, Stored, accepted

NOW = float(int(time.time()))
START = NOW - 3000
END = NOW - 60
STARTED_PATH = "/v1/events/job-started"
FINISHED_PATH = "/v1/events/job-finished"


def iso(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat()


def at(unix_s: float) -> datetime:
    return datetime.fromtimestamp(unix_s, UTC)


def started(**more: Any) -> dict[str, Any]:
    told = {"job_id": "1", "user": "alice", "node_list": ["n1"], "timestamp": iso(START)}
    return told | {"cpu_allocation": 4, "memory_allocation_mb": 1024} | more


def finished(**more: Any) -> dict[str, Any]:
    told = {"job_id": "1", "final_state": "failed", "exit_code": 2, "timestamp": iso(END)}
    return told | more


async def the_job(stored: Stored) -> dict[str, Any]:
    return await stored.one("select * from tsobs_store.job")


# Agents.


async def test_a_job_that_an_agent_sees_first_is_running_and_on_record(
    sender: Sender, stored: Stored
) -> None:
    known = job("7_3", started_at=START, restart_count=1, user_name="alice", uid=1000, cpus=4.0)
    batch = Agent("n1", cluster="alpha").batch(
        jobs=[known | {"memory_bytes": 2**33}], job_sample=[row(NOW, job=0)]
    )
    accepted([await sender.post(batch)])
    found = await the_job(stored)
    expected = {
        "cluster": "alpha",
        "scheduler": "slurm",
        "job_id": "7_3",
        "restart_count": 1,
        "run": 0,
        "user_name": "alice",
        "uid": 1000,
        "state": "running",
        "state_reason": None,
        "nodes": ["n1"],
        "start_at": at(START),
        "end_at": None,
        "oom_killed": None,
        "ingest_version": "agent-0.1.0",
    }
    assert {name: found[name] for name in expected} == expected
    ranks = await stored.one(
        "select ranks ->> 'state' as s, ranks ->> 'start_at' as a from tsobs_store.job"
    )
    assert ranks == {"s": "2", "a": "2"}
    event = await stored.one("select * from tsobs_store.job_event")
    assert (event["kind"], event["actor"], event["source"]) == ("observed", "agent@n1", "agent")
    assert (event["rank"], event["job_key"]) == (2, found["job_key"])
    held = await stored.one("select * from tsobs_store.job_node")
    assert (held["allocated_cpus"], held["allocated_memory_bytes"]) == (4.0, 2**33)


async def test_what_an_agent_learns_later_of_a_job_is_added_and_an_event_outranks_it(
    sender: Sender, stored: Stored
) -> None:
    agent = Agent("n1", cluster="alpha")
    accepted([await sender.post(agent.batch(jobs=[job(started_at=START)]))])
    assert (await the_job(stored))["restart_count"] is None
    learned = job(
        started_at=START,
        restart_count=0,
        name="burn",
        account="physics",
        partition="debug",
        array_job_id="10",
        array_task_id="2",
    )
    for _ in range(2):
        accepted([await sender.post(agent.batch(jobs=[learned]))])
    found = await the_job(stored)
    expected = {name: value for name, value in learned.items() if name != "started_at"}
    assert {name: found[name] for name in expected} == expected
    kinds = [event["kind"] for event in await stored.rows("job_event")]
    assert sorted(kinds) == ["observed", "observed", "restart-count"]
    event = started(cluster="alpha", account="chemistry", name="real")
    assert (await sender.post(event, STARTED_PATH)).status == 200
    found = await the_job(stored)
    assert (found["account"], found["name"], found["partition"]) == ("chemistry", "real", "debug")


async def test_an_agent_that_names_no_cluster_is_in_that_of_the_settings(
    sender: Sender, stored: Stored
) -> None:
    accepted([await sender.post(Agent("n1").batch(jobs=[job()], node_sample=[row(NOW)]))])
    assert await stored.value("select cluster from tsobs_store.node") == "default"
    assert (await the_job(stored))["cluster"] == "default"


async def test_more_batches_of_a_job_write_no_more_events(sender: Sender, stored: Stored) -> None:
    agent = Agent()
    for n in range(3):
        batch = agent.batch(jobs=[job(started_at=START)], job_sample=[row(NOW + n, job=0)])
        accepted([await sender.post(batch)])
    assert len(await stored.rows("job_event")) == 1


async def test_a_job_on_many_nodes_is_one_row_with_all_of_them(
    sender: Sender, stored: Stored
) -> None:
    for node in ("n2", "n1", "n3"):
        batch = Agent(node).batch(jobs=[job(started_at=START)], job_sample=[row(NOW, job=0)])
        accepted([await sender.post(batch)])
    assert (await the_job(stored))["nodes"] == ["n1", "n2", "n3"]
    assert len(await stored.rows("job_node")) == 3


async def test_gone_marks_the_job_on_that_node(sender: Sender, stored: Stored) -> None:
    for node in ("n1", "n2"):
        agent = Agent(node)
        accepted([await sender.post(agent.batch(jobs=[job(started_at=START)]))])
        if node == "n1":
            gone = job(started_at=START, gone_at=END)
            batch = agent.batch(jobs=[gone], job_sample=[row(END, job=0)])
            accepted([await sender.post(batch)])
            # A batch from before comes late.
            late = agent.batch(jobs=[job(started_at=START)], job_sample=[row(END - 15, job=0)])
            accepted([await sender.post(late)])
    found = await stored.all(
        "select n.name, gone_at, jn.sample_count from tsobs_store.job_node jn"
        " join tsobs_store.node n using (node_id) order by name"
    )
    assert [list(each.values()) for each in found] == [["n1", at(END), 2], ["n2", None, 0]]


async def test_an_oom_kill_is_kept(sender: Sender, stored: Stored) -> None:
    agent = Agent()
    for seen in (None, True, False, None):
        batch = agent.batch(jobs=[job(started_at=START, oom_killed=seen)])
        accepted([await sender.post(batch)])
    assert (await the_job(stored))["oom_killed"] is True


# Without a start, the time of the rows says which run is meant.


async def test_a_job_without_a_start_begins_with_its_first_row(
    sender: Sender, stored: Stored
) -> None:
    rows = [row(NOW - 30, job=0), row(NOW - 60, job=0), row(NOW - 90, job=1)]
    batch = Agent().batch(
        jobs=[job("1", started_at=None), job("2", started_at=START)], job_sample=rows
    )
    accepted([await sender.post(batch)])
    found = await stored.all("select first_seen_at, start_at from tsobs_store.job order by job_id")
    assert found[0] == {"first_seen_at": at(NOW - 60), "start_at": None}


async def test_a_wild_time_makes_no_job_in_another_century(sender: Sender, stored: Stored) -> None:
    for n, wild in enumerate((1e10, float("inf"), 0.0, -1e18, float("-inf"))):
        unknown = job(str(n), started_at=None)
        batch = Agent().batch(jobs=[unknown], job_sample=[row(wild, job=0)])
        assert (await sender.post(batch)).body["rejected_count"] == 1
    for made in await stored.rows("job"):
        seen = made["first_seen_at"].timestamp()
        assert time.time() - 367 * 86_400 < seen <= time.time() + 600


async def test_an_id_that_comes_again_after_the_job_is_gone_is_looked_up_anew(
    sender: Sender, stored: Stored
) -> None:
    """The service has the first run's key in its cache; the second began meanwhile."""
    agent = Agent()
    gone = job("1", started_at=None, gone_at=NOW - 7200)
    first = agent.batch(jobs=[gone], job_sample=[row(NOW - 7200, job=0, cpu_user_s=1.0)])
    accepted([await sender.post(first)])
    end = finished(timestamp=iso(NOW - 7200))
    assert (await sender.post(end, FINISHED_PATH)).body["status"] == "updated"
    again = started(timestamp=iso(NOW - 1800))
    assert (await sender.post(again, STARTED_PATH)).body["status"] == "created"
    unknown = job("1", started_at=None)
    second = agent.batch(jobs=[unknown], job_sample=[row(NOW, job=0, cpu_user_s=2.0)])
    accepted([await sender.post(second)])
    used = await stored.all(
        "select j.run, jn.cpu_user_s from tsobs_store.job j join tsobs_store.job_node jn"
        " using (job_key) order by j.run"
    )
    assert [list(each.values()) for each in used] == [[0, 1.0], [1, 2.0]]


async def test_an_id_that_comes_again_hours_later_is_looked_up_anew(
    sender: Sender, stored: Stored
) -> None:
    """The same, when nobody saw the first one go."""
    agent = Agent()
    unknown = job("1", started_at=None)
    first = agent.batch(jobs=[unknown], job_sample=[row(NOW - 9000, job=0, cpu_user_s=1.0)])
    accepted([await sender.post(first)])
    await sender.post(finished(timestamp=iso(NOW - 9000)), FINISHED_PATH)
    await sender.post(started(timestamp=iso(NOW - 1800)), STARTED_PATH)
    second = agent.batch(jobs=[unknown], job_sample=[row(NOW, job=0, cpu_user_s=2.0)])
    accepted([await sender.post(second)])
    used = await stored.all("select cpu_user_s from tsobs_store.job_node order by job_key")
    assert [each["cpu_user_s"] for each in used] == [1.0, 2.0]


# Agents and hooks, in any order.

Step = Callable[[Sender], Awaitable[Any]]


def agents_and_hooks(job_id: str, *, start_known: bool) -> dict[str, Step]:
    agent, other = Agent("n1"), Agent("n2")
    start_at = START + 2 if start_known else None
    seen = job(job_id, started_at=start_at, uid=1000, user_name="alice")
    first = agent.batch(jobs=[seen], job_sample=[row(START + 15, job=0, cpu_user_s=1.0)])
    gone = seen | {"gone_at": END - 1}
    last = agent.batch(jobs=[gone], job_sample=[row(END - 1, job=0, cpu_user_s=2.0)])
    beside = other.batch(jobs=[seen], job_sample=[row(START + 30, job=0, cpu_user_s=4.0)])
    told = {"job_id": job_id, "account": "physics", "partition": "batch"}
    begins = started(node_list=["n1", "n2"], restart_count=0, **told)
    ends = finished(raw_state="TIMEOUT", signal=15, **told)
    return {
        "first": lambda sender: sender.post(first),
        "beside": lambda sender: sender.post(beside),
        "last": lambda sender: sender.post(last),
        "started": lambda sender: sender.post(begins, STARTED_PATH),
        "finished": lambda sender: sender.post(ends, FINISHED_PATH),
    }


# When the row was made or changed, and by whom it was first met, is no matter of the job.
PASSING = ("job_key", "job_id", "created_at", "updated_at", "first_seen_at")
ORDERS = list(itertools.permutations(("first", "beside", "last", "started", "finished")))


@pytest.mark.parametrize("start_known", [True, False])
@pytest.mark.parametrize(
    "part", [0, *(pytest.param(n, marks=pytest.mark.long) for n in range(1, 6))]
)
async def test_any_order_gives_the_same_row(
    sender: Sender, stored: Stored, start_known: bool, part: int
) -> None:
    rows = []
    for order in ORDERS[part::6]:
        job_id = "-".join(order)
        steps = agents_and_hooks(job_id, start_known=start_known)
        for step in (*order, *order[:2]):
            answer = await steps[step](sender)
            assert answer.status == 200, (order, step, answer)
        found = await stored.one("select * from tsobs_store.job where job_id = $1", job_id)
        rows.append((order, {k: v for k, v in found.items() if k not in PASSING}))
        used = await stored.value(
            "select sum(cpu_user_s) from tsobs_store.job_node where job_key = $1", found["job_key"]
        )
        assert used == 7.0, order
    expected = rows[0][1]
    assert (expected["state"], expected["state_reason"]) == ("failed", "timeout")
    assert (expected["start_at"], expected["end_at"]) == (at(START), at(END))
    assert (expected["nodes"], expected["uid"]) == (["n1", "n2"], 1000)
    for order, found in rows:
        assert found == expected, order


async def test_late_samples_never_revive_a_job_that_ended(sender: Sender, stored: Stored) -> None:
    await sender.post(started(), STARTED_PATH)
    await sender.post(finished(), FINISHED_PATH)
    batch = Agent().batch(jobs=[job(started_at=START)], job_sample=[row(END - 5, job=0)])
    accepted([await sender.post(batch)])
    found = await the_job(stored)
    assert (found["state"], found["end_at"]) == ("failed", at(END))
    assert (await stored.one("select sample_count from tsobs_store.job_node"))["sample_count"] == 1
