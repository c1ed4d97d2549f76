"""POST /v1/jobs/{id}/metrics, and reading back what was posted."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.ingest.sending import Sender, Stored

JOB = {"id": "1", "user": "alice", "nodes": ["n1"]}
PATH = "/v1/jobs/1/metrics"


def at(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


@pytest.fixture(autouse=True)
async def job(sender: Sender) -> None:
    assert (await sender.ask("POST", "/v1/jobs", JOB)).status == 201


async def test_a_sample_comes_back_as_it_was_posted(sender: Sender) -> None:
    moment = datetime.now(UTC).replace(microsecond=0)
    told = {
        "cpu_usage": 7,
        "memory_usage_mb": 3,
        "gpu_usage": 0.07,
        "timestamp": moment.isoformat(),
    }
    answer = await sender.ask("POST", PATH, told)
    assert answer.status == 201
    sample = told | {"timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ")}
    assert answer.body == sample
    series = (await sender.ask("GET", PATH)).body
    assert (series["source"], series["step_seconds"], series["total"]) == ("reported", None, 1)
    [found] = series["samples"]
    assert {name: found[name] for name in sample} == sample


async def test_without_a_time_it_is_of_now(sender: Sender) -> None:
    answer = await sender.ask("POST", PATH, {"cpu_usage": 0, "memory_usage_mb": 0})
    age = datetime.now(UTC) - datetime.fromisoformat(answer.body["timestamp"])
    assert timedelta(0) <= age < timedelta(seconds=5)
    assert "gpu_usage" not in answer.body


async def test_a_time_has_one_sample_whoever_sends_it_again(sender: Sender, stored: Stored) -> None:
    told: dict[str, Any] = {"cpu_usage": 7, "memory_usage_mb": 3, "timestamp": at(-5)}
    answers = await asyncio.gather(*(sender.ask("POST", PATH, told) for _ in range(6)))
    assert sorted(answer.status for answer in answers) == [200] * 5 + [201]
    other = await sender.ask("POST", PATH, told | {"cpu_usage": 99})
    assert (other.status, other.body["cpu_usage"]) == (200, 7)
    assert len(await stored.rows("job_reported")) == 1


async def test_a_time_that_is_not_kept_or_not_yet_is_refused(
    sender: Sender, stored: Stored
) -> None:
    for seconds, rule in (
        (-8 * 86_400, "must not be older than the 7 days that samples are kept"),
        (660, "must not be more than 10 minutes ahead"),
    ):
        told = {"cpu_usage": 7, "memory_usage_mb": 3, "timestamp": at(seconds)}
        answer = await sender.ask("POST", PATH, told)
        assert answer.refusal == (400, "validation_error", "timestamp")
        assert answer.body["details"]["rule"] == rule
    assert await stored.rows("job_reported") == []


async def test_what_is_missing_is_named(sender: Sender) -> None:
    for name in ("cpu_usage", "memory_usage_mb"):
        told = {"cpu_usage": 7, "memory_usage_mb": 3}
        told.pop(name)
        answer = await sender.ask("POST", PATH, told)
        assert answer.refusal == (400, "validation_error", name)
        assert answer.body["message"] == f"{name} is required"


async def test_steps_are_means_and_nodes_have_nothing(sender: Sender) -> None:
    start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=5)
    for seconds, cpu in ((10, 10), (20, 30), (70, 80)):
        moment = (start + timedelta(seconds=seconds)).isoformat()
        told = {"cpu_usage": cpu, "memory_usage_mb": cpu, "timestamp": moment}
        assert (await sender.ask("POST", PATH, told)).status == 201
    body = (await sender.ask("GET", f"{PATH}?step=60&source=reported")).body
    found = [(each["timestamp"], each["cpu_usage"]) for each in body["samples"]]
    ends = [(start + timedelta(minutes=n)).strftime("%Y-%m-%dT%H:%M:%SZ") for n in (2, 1)]
    assert found == [(ends[0], 80), (ends[1], 20)]
    assert (body["step_seconds"], body["total"]) == (60, 2)
    for query in ("by=node", "source=sampled", "source=reported&by=node"):
        assert (await sender.ask("GET", f"{PATH}?{query}")).body["samples"] == []


async def test_what_agents_sampled_comes_first(sender: Sender, stored: Stored) -> None:
    told = {"cpu_usage": 7, "memory_usage_mb": 3}
    assert (await sender.ask("POST", PATH, told)).status == 201
    key = await stored.value("select job_key from tsobs_store.job")
    await stored.connection.execute(
        "insert into tsobs_store.node (cluster, name) values ('default', 'n1')"
    )
    await stored.connection.execute(
        "insert into tsobs_store.job_node (job_key, node_id, sample_count, interval_s,"
        " first_sample_at, first_interval_s, last_sample_at, cpu_usage_ratio, cpus_allocated)"
        " select $1, node_id, 1, 15, now(), 15, now(), 0.5, 1 from tsobs_store.node",
        key,
    )
    await stored.connection.execute(
        "insert into tsobs_store.job_sample (time, job_key, node_id, interval_s, cpu_user_s,"
        " cpu_system_s, cpus_allocated) select last_sample_at, job_key, node_id, 15, 7.5, 0, 1"
        " from tsobs_store.job_node"
    )
    assert (await sender.ask("GET", "/v1/jobs/1")).body["cpu_usage"] == 50
    body = (await sender.ask("GET", PATH)).body
    assert (body["source"], body["samples"][0]["cpu_usage"]) == ("sampled", 50)
    body = (await sender.ask("GET", f"{PATH}?source=reported")).body
    assert (body["source"], body["samples"][0]["cpu_usage"]) == ("reported", 7)
