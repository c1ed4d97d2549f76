"""POST, PATCH and DELETE of /v1/jobs: what they answer, keep and refuse."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.ingest.sending import Sender, Stored, open_sender
from tsobs.db import open_database
from tsobs.routes import Scope
from tsobs.tokens import NewToken, TokenStore

STARTED = "/v1/events/job-started"
FINISHED = "/v1/events/job-finished"
TERMINAL = "Job is in terminal state and cannot be updated"


def at(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def job(job_id: str = "1", **more: Any) -> dict[str, Any]:
    return {"id": job_id, "user": "alice", "nodes": ["n2", "n1"], **more}


async def test_a_job_is_created_and_told(sender: Sender, stored: Stored) -> None:
    before = datetime.now(UTC)
    answer = await sender.ask("POST", "/v1/jobs", job(), {"X-Correlation-Id": "abc-1"})
    assert answer.status == 201
    assert answer.headers["X-Correlation-Id"] == "abc-1"
    assert answer.headers["Location"] == "/v1/jobs/default:1.r0.0"
    told = answer.body
    assert {name: told[name] for name in ("id", "user", "nodes", "node_count", "state")} == {
        "id": "1",
        "user": "alice",
        "nodes": ["n1", "n2"],
        "node_count": 2,
        "state": "running",
    }
    assert (told["cluster_name"], told["scheduler_instance"], told["ingest_version"]) == (
        "default",
        "api",
        "api-v1",
    )
    assert before <= datetime.fromisoformat(told["start_time"]) <= datetime.now(UTC)
    read = (await sender.ask("GET", answer.headers["Location"])).body
    ours = ("per_node", "per_gpu", "runtime_seconds")
    assert {k: v for k, v in read.items() if k not in ours} == {
        k: v for k, v in told.items() if k not in ours
    }
    event = await stored.one("select * from tsobs_store.job_event")
    assert [event[name] for name in ("kind", "actor", "source", "correlation_id", "rank")] == [
        "created",
        "tester",
        "tests",
        "abc-1",
        4,
    ]
    assert json.loads(event["payload"]) == job()


async def test_all_that_a_client_may_tell(sender: Sender) -> None:
    scheduler = {
        "type": "pbs",
        "raw_state": "R",
        "submit_time": "2026-01-02T03:00:00Z",
        "partition": "old",
        "account": "physics",
        "qos": "high",
        "priority": 2**40,
        "time_limit_minutes": 90,
        "extra": {"anything": [1]},
    }
    more: dict[str, Any] = {
        "cluster": "beta",
        "restart_count": 2,
        "name": "run",
        "partition": "batch",
        "start_time": "2026-01-02T04:04:05+01:00",
        "allocated_cpus": 8,
        "requested_memory_mb": 1024,
        "scheduler": scheduler,
    }
    told = (await sender.ask("POST", "/v1/jobs", job(**more))).body
    assert told["exact_id"] == "beta:1.r2.0"
    assert told["start_time"] == "2026-01-02T03:04:05Z"
    # What is said of the job itself counts before what the scheduler's object says.
    assert (told["partition"], told["account"], told["qos"]) == ("batch", "physics", "high")
    assert (told["allocated_cpus"], told["requested_memory_mb"]) == (8, 1024)
    assert told["scheduler"] == {
        "type": "pbs",
        "external_job_id": "1",
        "raw_state": "R",
        "submit_time": "2026-01-02T03:00:00Z",
        "partition": "batch",
        "account": "physics",
        "qos": "high",
        "priority": 2**40,
        "time_limit_minutes": 90,
        "time_limit_seconds": 5400,
    }


async def test_an_id_is_taken_in_its_cluster_scheduler_and_restart(sender: Sender) -> None:
    assert (await sender.ask("POST", "/v1/jobs", job(restart_count=0))).status == 201
    taken: list[dict[str, Any]] = [{}, {"restart_count": 0}, {"start_time": at(1e6)}]
    for more in taken:
        assert (await sender.ask("POST", "/v1/jobs", job(**more))).status == 409
    free: list[dict[str, Any]] = [{"restart_count": 1}, {"cluster": "beta"}]
    free.append({"scheduler": {"type": "local"}})
    for others in free:
        assert (await sender.ask("POST", "/v1/jobs", job(**others))).status == 201


async def test_whatever_its_id_the_location_leads_to_it(sender: Sender) -> None:
    for job_id in (
        "a/b",
        "a%2Fb",
        "ä b",
        "{id}",
        "..",
        "?x=1#y",
        "1.r2",
        "12[3].pbs",
        "a:b",
        "1+2",
    ):
        made = await sender.ask("POST", "/v1/jobs", job(job_id))
        assert made.status == 201
        found = await sender.ask("GET", made.headers["Location"])
        assert (found.status, found.body.get("id")) == (200, job_id)


async def test_a_job_that_a_hook_announced_exists(sender: Sender) -> None:
    told = {"job_id": "1", "user": "alice", "node_list": ["n1"], "timestamp": at(-5)}
    assert (await sender.post(told, STARTED)).status == 200
    assert (await sender.ask("POST", "/v1/jobs", job())).status == 409


async def test_of_many_at_once_one_is_created(sender: Sender, stored: Stored) -> None:
    answers = await asyncio.gather(*(sender.ask("POST", "/v1/jobs", job()) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 7
    assert len(await stored.rows("job")) == len(await stored.rows("job_event")) == 1


async def test_a_change_of_state_computes_the_times(sender: Sender, stored: Stored) -> None:
    await sender.ask("POST", "/v1/jobs", job(start_time=at(-100)))
    answer = await sender.ask("PATCH", "/v1/jobs/slurm-1", {"state": "completed"})
    assert answer.status == 200
    assert answer.body["state"] == "completed"
    assert answer.body["runtime_seconds"] == pytest.approx(100, abs=5)
    ended = datetime.fromisoformat(answer.body["end_time"])
    assert abs(datetime.now(UTC) - ended) < timedelta(seconds=5)
    event = await stored.one("select * from tsobs_store.job_event order by event_id desc limit 1")
    assert (event["kind"], json.loads(event["payload"])) == ("updated", {"state": "completed"})
    assert json.loads(event["old"])["state"] == "running"
    assert json.loads(event["new"])["state"] == "completed"


async def test_an_end_that_is_told_is_kept(sender: Sender) -> None:
    await sender.ask("POST", "/v1/jobs", job(start_time="2026-01-02T03:00:00Z"))
    told = {"state": "failed", "exit_code": 2, "signal": 9, "end_time": "2026-01-02T03:01:00Z"}
    found = (await sender.ask("PATCH", "/v1/jobs/1", told)).body
    assert (found["runtime_seconds"], found["exit_code"], found["signal"]) == (60, 2, 9)
    assert found["state"] == "failed"


async def test_an_end_is_not_before_the_start(sender: Sender, stored: Stored) -> None:
    await sender.ask("POST", "/v1/jobs", job(start_time="2026-01-02T03:00:00Z"))
    told = {"state": "failed", "end_time": "2026-01-02T02:00:00Z"}
    answer = await sender.ask("PATCH", "/v1/jobs/1", told)
    assert answer.refusal == (400, "validation_error", "end_time")
    assert len(await stored.rows("job_event")) == 1


async def test_the_same_change_again_changes_nothing(sender: Sender, stored: Stored) -> None:
    await sender.ask("POST", "/v1/jobs", job())
    first = await sender.ask("PATCH", "/v1/jobs/1", {"state": "completed"})
    for again in ({"state": "completed"}, {}):
        answer = await sender.ask("PATCH", "/v1/jobs/1", again)
        assert (answer.status, answer.body) == (200, first.body)
    assert len(await stored.rows("job_event")) == 2


async def test_a_job_does_not_go_back(sender: Sender, stored: Stored) -> None:
    await sender.ask("POST", "/v1/jobs", job())
    answer = await sender.ask("PATCH", "/v1/jobs/1", {"state": "pending", "cpu_usage": 5})
    assert (answer.status, answer.body["message"]) == (
        409,
        "Job is running and cannot become pending",
    )
    assert await stored.rows("job_reported") == []
    assert len(await stored.rows("job_event")) == 1


async def test_a_lost_job_can_be_told_of_but_not_revived(sender: Sender, stored: Stored) -> None:
    await sender.ask("POST", "/v1/jobs", job(start_time=at(-100)))
    await stored.connection.execute(
        "update tsobs_store.job set state = 'unknown', end_at = now() - interval '40 s',"
        " ranks = ranks || '{\"state\": 1}'"
    )
    answer = await sender.ask("PATCH", "/v1/jobs/1", {"state": "running"})
    assert (answer.status, answer.body["message"]) == (409, TERMINAL)
    found = (await sender.ask("PATCH", "/v1/jobs/1", {"state": "failed"})).body
    # When it ended was known better than "now".
    assert (found["state"], found["runtime_seconds"]) == ("failed", pytest.approx(60, abs=5))


async def test_usage_is_a_sample_of_now(sender: Sender, stored: Stored) -> None:
    await sender.ask("POST", "/v1/jobs", job())
    usage = {"cpu_usage": 7, "memory_usage_mb": 2048, "gpu_usage": 33.3}
    found = (await sender.ask("PATCH", "/v1/jobs/1", usage)).body
    assert {name: found[name] for name in usage} == usage
    assert len(await stored.rows("job_reported")) == 1
    assert len(await stored.rows("job_event")) == 1
    only = (await sender.ask("PATCH", "/v1/jobs/1", {"memory_usage_mb": 1024})).body
    assert (only["memory_usage_mb"], only["avg_cpu_usage"]) == (1024, 7)


async def test_a_deleted_job_is_not_there_and_its_id_is_free(
    sender: Sender, stored: Stored
) -> None:
    await sender.ask("POST", "/v1/jobs", job(start_time=at(-100)))
    answer = await sender.ask("DELETE", "/v1/jobs/1")
    assert (answer.status, answer.body) == (204, None)
    for method, path, body in (
        ("GET", "/v1/jobs/1", None),
        ("DELETE", "/v1/jobs/1", None),
        ("PATCH", "/v1/jobs/1", {"state": "failed"}),
        ("GET", "/v1/jobs/1/events", None),
        ("GET", "/v1/jobs/default:1.r0.0/metrics", None),
    ):
        assert (await sender.ask(method, path, body)).status == 404
    assert (await sender.ask("GET", "/v1/jobs")).body["total"] == 0
    again = await sender.ask("POST", "/v1/jobs", job(user="bob"))
    assert (again.status, again.body["exact_id"]) == (201, "default:1.r0.1")
    found = (await sender.ask("GET", "/v1/jobs/1")).body
    assert (found["user"], found["state"]) == ("bob", "running")
    # What is told of the time since belongs to the new one.
    ended = {"job_id": "1", "final_state": "completed", "exit_code": 0, "timestamp": at(1)}
    assert (await sender.post(ended, FINISHED)).status == 200
    states = await stored.all("select run, state from tsobs_store.job order by run")
    assert [(row["run"], row["state"]) for row in states] == [(0, "running"), (1, "completed")]


async def test_a_deletion_outlives_late_news(sender: Sender, stored: Stored) -> None:
    await sender.ask("POST", "/v1/jobs", job())
    await sender.ask("DELETE", "/v1/jobs/1")
    ended = {"job_id": "1", "final_state": "completed", "exit_code": 0, "timestamp": at(1)}
    assert (await sender.post(ended, FINISHED)).status == 200
    assert (await sender.ask("GET", "/v1/jobs/1")).status == 404
    assert len(await stored.rows("job")) == 1


async def test_an_id_in_several_clusters_must_be_told_exactly(sender: Sender) -> None:
    for cluster in ("alpha", "beta"):
        await sender.ask("POST", "/v1/jobs", job(cluster=cluster, restart_count=0))
    for method, body in (("PATCH", {"state": "failed"}), ("DELETE", None)):
        answer = await sender.ask(method, "/v1/jobs/1", body)
        assert answer.status == 409
        assert answer.body["details"]["candidates"] == ["alpha:1.r0.0", "beta:1.r0.0"]
    assert (await sender.ask("DELETE", "/v1/jobs/beta:1.r0.0")).status == 204
    assert (await sender.ask("GET", "/v1/jobs/1")).body["cluster"] == "alpha"


async def test_events_and_changes_make_one_record(sender: Sender, stored: Stored) -> None:
    await sender.ask("POST", "/v1/jobs", job(start_time=at(-100), restart_count=0))
    told = {"job_id": "1", "user": "alice", "node_list": ["n1", "n2"], "timestamp": at(-99)}
    assert (await sender.post(told | {"restart_count": 0}, STARTED)).status == 200
    await sender.ask("PATCH", "/v1/jobs/1", {"state": "cancelled"})
    ended = {"job_id": "1", "final_state": "completed", "exit_code": 0, "timestamp": at(0)}
    await sender.post(ended, FINISHED)
    row = await stored.one("select * from tsobs_store.job")
    # An epilog's guess from an exit code does not outweigh who was told the state.
    assert (row["state"], row["exit_code"]) == ("cancelled", 0)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"id": "a\nb"}, "id"),
        ({"id": "x" * 256}, "id"),
        ({"user": 5}, "user"),
        ({"nodes": "n1"}, "nodes"),
        ({"cluster": "a:b"}, "cluster"),
        ({"start_time": "yesterday"}, "start_time"),
        ({"scheduler": []}, "scheduler"),
        ({"scheduler": {"type": "cron"}}, "scheduler.type"),
        ({"scheduler": {"priority": 0.5}}, "scheduler.priority"),
    ],
)
async def test_refusals_name_the_field(
    sender: Sender, stored: Stored, more: dict[str, Any], field: str
) -> None:
    answer = await sender.ask("POST", "/v1/jobs", job() | more)
    assert answer.refusal == (400, "validation_error", field)
    assert answer.body["details"]["rule"]
    assert await stored.rows("job") == []


async def test_writes_have_no_parameters(sender: Sender, stored: Stored) -> None:
    answer = await sender.ask("POST", "/v1/jobs?dry_run=1", job())
    assert (answer.status, answer.body["details"]["parameter"]) == (400, "dry_run")
    assert await stored.rows("job") == []


WriteAs = Callable[..., Awaitable[Sender]]


@pytest.fixture
async def write_as(service_url: str, database_url: str) -> AsyncIterator[WriteAs]:
    """Makes senders with a token for reading and events, or as told, that is bound as told."""
    opened = []

    async def make(*scopes: Scope, **bounds: str) -> Sender:
        async with open_database(database_url, size=1) as database:
            wanted = NewToken("w", scopes or [Scope.EVENTS, Scope.READ], **bounds)  # type: ignore[arg-type]
            _, secret = await TokenStore(database).create(wanted)
        manager = open_sender(service_url, secret)
        opened.append(manager)
        return await manager.__aenter__()

    yield make
    for manager in opened:
        await manager.__aexit__(None, None, None)


SAMPLE = {"cpu_usage": 1, "memory_usage_mb": 1}


async def test_a_writer_bound_to_a_cluster(write_as: WriteAs) -> None:
    bound, anyone = await write_as(cluster="default"), await write_as()
    await anyone.ask("POST", "/v1/jobs", job("2", cluster="beta"))
    refused = await bound.ask("POST", "/v1/jobs", job("1", cluster="beta"))
    assert refused.refusal == (403, "forbidden", "cluster")
    assert (await bound.ask("POST", "/v1/jobs", job("1"))).status == 201
    for method, suffix, body, status in (
        ("GET", "", None, 200),
        ("GET", "/events", None, 200),
        ("POST", "/metrics", SAMPLE, 201),
        ("GET", "/metrics", None, 200),
        ("PATCH", "", {"state": "failed"}, 200),
    ):
        assert (await bound.ask(method, f"/v1/jobs/1{suffix}", body)).status == status
        assert (await bound.ask(method, f"/v1/jobs/2{suffix}", body)).status == 404


async def test_a_reader_bound_to_a_user_reads_of_that_user_alone(write_as: WriteAs) -> None:
    anyone, alice = await write_as(), await write_as(Scope.READ, user="alice")
    for job_id, user in (("1", "alice"), ("2", "bob")):
        await anyone.ask("POST", "/v1/jobs", job(job_id, user=user))
        await anyone.ask("POST", f"/v1/jobs/{job_id}/metrics", SAMPLE)
    for suffix in ("", "/events", "/metrics"):
        assert (await alice.ask("GET", f"/v1/jobs/1{suffix}")).status == 200
        assert (await alice.ask("GET", f"/v1/jobs/2{suffix}")).status == 404
    assert (await alice.ask("PATCH", "/v1/jobs/1", {"state": "failed"})).status == 403


async def test_a_writer_bound_to_a_node_does_not_write_of_whole_jobs(write_as: WriteAs) -> None:
    bound = await write_as(Scope.EVENTS, node="n1")
    for method, path, body in (
        ("POST", "/v1/jobs", job()),
        ("PATCH", "/v1/jobs/1", {"state": "failed"}),
        ("POST", "/v1/jobs/1/metrics", SAMPLE),
    ):
        assert (await bound.ask(method, path, body)).refusal == (403, "forbidden", "node")


async def test_to_delete_takes_an_admin(write_as: WriteAs) -> None:
    writer, admin = await write_as(), await write_as(Scope.ADMIN)
    assert (await writer.ask("POST", "/v1/jobs", job())).status == 201
    assert (await writer.ask("DELETE", "/v1/jobs/1")).status == 403
    assert (await admin.ask("DELETE", "/v1/jobs/1")).status == 204
