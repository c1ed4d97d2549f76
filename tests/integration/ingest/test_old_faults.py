"""Faults of the older service that this one shall not have, each by its number in the list of its
weak points: 4 to 9, 11 and 15."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.integration.ingest.sending import Sender, Stored

STARTED = "/v1/events/job-started"
FINISHED = "/v1/events/job-finished"


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def job(job_id: str = "1", **more: Any) -> dict[str, Any]:
    return {"id": job_id, "user": "alice", "nodes": ["n1"], **more}


async def create(sender: Sender, job_id: str = "1", **more: Any) -> None:
    answer = await sender.ask("POST", "/v1/jobs", job(job_id, start_time=ago(600), **more))
    assert answer.status == 201


def sample(cpu: float, memory: int, seconds: float, **more: float) -> dict[str, Any]:
    return {"cpu_usage": cpu, "memory_usage_mb": memory, "timestamp": ago(seconds), **more}


async def test_4_start_and_end_of_a_series_are_each_optional(sender: Sender) -> None:
    await create(sender)
    for n in range(4):
        told = sample(n, n, 400 - 100 * n)
        assert (await sender.ask("POST", "/v1/jobs/1/metrics", told)).status == 201
    middle = ago(250).replace("+", "%2B")
    for query, found in (
        ("", [3, 2, 1, 0]),
        (f"?start_time={middle}", [3, 2]),
        (f"?end_time={middle}", [1, 0]),
        (f"?start_time={middle}&end_time={middle}", []),
        ("?limit=1", [3]),
    ):
        answer = await sender.ask("GET", f"/v1/jobs/1/metrics{query}")
        assert answer.status == 200, query
        assert [each["cpu_usage"] for each in answer.body["samples"]] == found
    assert (await sender.ask("GET", "/v1/jobs/1/metrics?limit=1")).body["total"] == 4


async def test_5_a_series_of_an_unknown_job_is_a_404(sender: Sender) -> None:
    for method, body in (("GET", None), ("POST", sample(1, 1, 0))):
        answer = await sender.ask(method, "/v1/jobs/nothing/metrics", body)
        assert (answer.status, answer.body["message"]) == (404, "Job not found")


async def test_6_a_write_to_an_ended_job_is_a_409_and_stores_nothing(
    sender: Sender, stored: Stored
) -> None:
    await create(sender)
    assert (await sender.ask("PATCH", "/v1/jobs/1", {"state": "failed"})).status == 200
    before = await stored.rows("job"), await stored.rows("job_event")
    for method, path, body in (
        ("PATCH", "/v1/jobs/1", {"state": "running"}),
        ("PATCH", "/v1/jobs/1", {"cpu_usage": 1}),
        ("POST", "/v1/jobs/1/metrics", sample(1, 1, 0)),
    ):
        assert (await sender.ask(method, path, body)).status == 409
    assert await stored.rows("job_reported") == []
    assert (await stored.rows("job"), await stored.rows("job_event")) == before


async def test_7_means_and_maxima_are_those_of_all_samples(sender: Sender) -> None:
    await create(sender)
    for told in (sample(10, 100, 300), sample(90, 400, 200, gpu_usage=40), sample(50, 100, 100)):
        assert (await sender.ask("POST", "/v1/jobs/1/metrics", told)).status == 201
    # A change of something else must not write an old copy back.
    assert (await sender.ask("PATCH", "/v1/jobs/1", {"state": "completed"})).status == 200
    found = (await sender.ask("GET", "/v1/jobs/1")).body
    assert (found["cpu_usage"], found["avg_cpu_usage"], found["max_cpu_usage"]) == (50, 50, 90)
    assert (found["memory_usage_mb"], found["max_memory_usage_mb"]) == (100, 400)
    # One of three had it: its mean is that one's, and not a third.
    assert (found["avg_gpu_usage"], found["max_gpu_usage"]) == (40, 40)
    assert found["sample_count"] == 3


async def test_8_the_audit_row_is_written_with_the_change_or_neither(
    sender: Sender, stored: Stored
) -> None:
    await stored.connection.execute(
        "create function fail() returns trigger language plpgsql as"
        " $$ begin raise exception 'no audit'; end $$;"
        " create trigger fail before insert on tsobs_store.job_event"
        " for each row when (new.source = 'broken') execute function fail()"
    )
    await create(sender)
    broken = {"X-Source": "broken"}
    for method, path, body in (
        ("POST", "/v1/jobs", job("2")),
        ("PATCH", "/v1/jobs/1", {"state": "completed"}),
        ("DELETE", "/v1/jobs/1", None),
    ):
        assert (await sender.ask(method, path, body, broken)).status == 500
    [found] = await stored.rows("job")
    assert (found["job_id"], found["state"], found["deleted_at"]) == ("1", "running", None)


async def test_8_a_delete_is_audited(sender: Sender, stored: Stored) -> None:
    await create(sender)
    who = {"X-Changed-By": "root", "X-Source": "cleanup", "X-Correlation-Id": "c-1"}
    assert (await sender.ask("DELETE", "/v1/jobs/1", None, who)).status == 204
    event = await stored.one("select * from tsobs_store.job_event order by event_id desc limit 1")
    told = [event[name] for name in ("kind", "actor", "source", "correlation_id", "rank")]
    assert told == ["deleted", "root", "cleanup", "c-1", 4]


async def test_8_the_audit_trail_does_not_grow_with_samples(sender: Sender, stored: Stored) -> None:
    await create(sender)
    for n in range(5):
        assert (await sender.ask("POST", "/v1/jobs/1/metrics", sample(n, n, n))).status == 201
    assert len(await stored.rows("job_event")) == 1


async def test_9_metrics_have_what_is_alive_and_not_every_job_ever(sender: Sender) -> None:
    for n in range(5):
        await create(sender, f"old-{n}", name="x")
        assert (await sender.ask("PATCH", f"/v1/jobs/old-{n}", {"state": "failed"})).status == 200
    async with sender.session.get(f"{sender.url}/metrics") as answer:
        text = await answer.text()
    assert answer.status == 200
    assert "old-" not in text
    assert 'hpc_jobs{state="failed"} 5' in text


async def test_11_an_end_without_a_start_is_not_lost(sender: Sender) -> None:
    told = {"job_id": "7", "final_state": "failed", "exit_code": 3, "timestamp": ago(10)}
    assert (await sender.post(told, FINISHED)).status == 200
    found = (await sender.ask("GET", "/v1/jobs/7")).body
    assert (found["state"], found["exit_code"]) == ("failed", 3)
    late = {"job_id": "7", "user": "alice", "node_list": ["n1"], "timestamp": ago(70)}
    assert (await sender.post(late, STARTED)).status == 200
    found = (await sender.ask("GET", "/v1/jobs/7")).body
    assert (found["state"], found["user"], found["runtime_seconds"] > 50) == (
        "failed",
        "alice",
        True,
    )


async def test_15_lists_have_a_cursor_a_sort_and_times(sender: Sender) -> None:
    for n in range(5):
        more = {"start_time": ago(1000 - 100 * n)}
        assert (await sender.ask("POST", "/v1/jobs", job(str(n), **more))).status == 201
    seen: list[str] = []
    query = "?sort=start_time&limit=2"
    while query:
        body = (await sender.ask("GET", f"/v1/jobs{query}")).body
        seen += [each["id"] for each in body["jobs"]]
        cursor = body.get("next_cursor")
        query = f"?sort=start_time&limit=2&cursor={cursor}" if cursor else ""
    assert seen == ["0", "1", "2", "3", "4"]
    since = ago(750).replace("+", "%2B")
    body = (await sender.ask("GET", f"/v1/jobs?started_after={since}&sort=start_time")).body
    assert [each["id"] for each in body["jobs"]] == ["3", "4"]
