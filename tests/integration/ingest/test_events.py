"""POST /v1/events/*: answers, audit trail and refusals over HTTP."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.integration.ingest.sending import Sender, Stored
from tests.integration.ingest.test_jobs import (
    END,
    FINISHED_PATH,
    START,
    STARTED_PATH,
    at,
    finished,
    iso,
    started,
    the_job,
)


async def test_a_start_is_created_then_skipped_then_updated(sender: Sender, stored: Stored) -> None:
    first = await sender.post(started(), STARTED_PATH)
    assert first.status == 200
    assert first.body == {
        "status": "created",
        "job_id": "1",
        "message": "Job registered successfully",
    }
    again = await sender.post(started(), STARTED_PATH)
    assert again.body == {
        "status": "skipped",
        "job_id": "1",
        "message": "Job already registered",
    }
    more = await sender.post(started(partition="batch"), STARTED_PATH)
    assert more.body["status"] == "updated"
    assert len(await stored.rows("job")) == 1
    assert len(await stored.rows("job_event")) == 2


async def test_an_end_is_updated_then_skipped(sender: Sender, stored: Stored) -> None:
    await sender.post(started(), STARTED_PATH)
    first = await sender.post(finished(), FINISHED_PATH)
    assert first.body == {
        "status": "updated",
        "job_id": "1",
        "message": "Job finished successfully",
    }
    again = await sender.post(finished(), FINISHED_PATH)
    assert again.body == {
        "status": "skipped",
        "job_id": "1",
        "message": "Job already in terminal state",
    }
    found = await the_job(stored)
    assert (found["state"], found["exit_code"], found["end_at"]) == ("failed", 2, at(END))


async def test_an_end_that_nobody_announced_makes_the_job(sender: Sender, stored: Stored) -> None:
    answer = await sender.post(finished(), FINISHED_PATH)
    assert (answer.status, answer.body["status"]) == (200, "updated")
    assert (await the_job(stored))["state"] == "failed"


async def test_many_copies_of_an_event_at_once_make_one_job(sender: Sender, stored: Stored) -> None:
    for n in range(5):
        told = started(job_id=str(n))
        answers = await asyncio.gather(*(sender.post(told, STARTED_PATH) for _ in range(6)))
        statuses = sorted(answer.body["status"] for answer in answers)
        assert statuses == ["created"] + ["skipped"] * 5
    assert len(await stored.rows("job")) == 5
    assert len(await stored.rows("job_event")) == 5


async def test_the_audit_trail_says_who_and_what(sender: Sender, stored: Stored) -> None:
    told = started(extra={"deep": [1, None, "x"]}, source="controller")
    text = json.dumps(told).encode()
    await sender.post_bytes(text, {"X-Correlation-Id": "abc-1"}, STARTED_PATH)
    event = await stored.one("select * from tsobs_store.job_event")
    assert (event["kind"], event["actor"]) == ("started", "slurm-prolog")
    assert (event["source"], event["rank"]) == ("controller", 4)
    assert event["correlation_id"] == "abc-1"
    assert json.loads(event["payload"]) == told
    assert json.loads(event["new"])["state"] == "running"


async def test_an_event_without_a_correlation_id_gets_one(sender: Sender, stored: Stored) -> None:
    answer = await sender.post(started(), STARTED_PATH)
    event = await stored.one("select correlation_id from tsobs_store.job_event")
    assert event["correlation_id"] == answer.headers["X-Correlation-Id"] != ""


REFUSED: list[tuple[str, Any, str, str]] = [
    (STARTED_PATH, [], "invalid_request", "body"),
    (STARTED_PATH, "text", "invalid_request", "body"),
    (STARTED_PATH, {}, "validation_error", "job_id"),
    (STARTED_PATH, started(user=None), "validation_error", "user"),
    (STARTED_PATH, started(node_list=[]), "validation_error", "node_list"),
    (STARTED_PATH, started(timestamp="yesterday"), "validation_error", "timestamp"),
    (STARTED_PATH, started(job_id="a\x00"), "validation_error", "job_id"),
    (STARTED_PATH, started(memory_allocation_mb=1e15), "validation_error", "memory_allocation_mb"),
    (STARTED_PATH, started(cpu_allocation=float("nan")), "validation_error", "cpu_allocation"),
    (STARTED_PATH, started(job_id="x" * 256), "validation_error", "job_id"),
    (FINISHED_PATH, finished(final_state="running"), "validation_error", "final_state"),
    (FINISHED_PATH, finished(exit_code=2**40), "validation_error", "exit_code"),
]


async def test_refusals_name_the_field(sender: Sender, stored: Stored) -> None:
    for path, body, code, field in REFUSED:
        answer = await sender.post_bytes(json.dumps(body).encode(), None, path)
        assert answer.refusal == (400, code, field), body
        assert answer.body["details"]["rule"]
    assert await stored.rows("job") == []
    assert await stored.rows("job_event") == []


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


async def test_what_the_audit_trail_cannot_keep_is_refused(sender: Sender, stored: Stored) -> None:
    for unknown in (nested(400), "a\x00b", {"a\x00": 1}, ["\x00"]):
        answer = await sender.post(started(comment=unknown), STARTED_PATH)
        assert answer.refusal == (400, "invalid_request", "body")
        assert answer.body["details"]["rule"]
    assert await stored.rows("job") == []


async def test_strange_values_of_unknown_fields_are_no_harm(sender: Sender) -> None:
    numbers: list[Any] = [10**400, -(10**19), 10**19, 2**64, 1e308]
    texts = ["\\u0000", "\\\\u0000", "ä\U0001f300"]
    for n, unknown in enumerate([nested(200), *numbers, *texts]):
        text = json.dumps(started(job_id=str(n), comment=unknown)).encode()
        answer = await sender.post_bytes(text, None, STARTED_PATH)
        assert answer.body["status"] == "created"


async def test_a_body_with_nan_beside_a_huge_integer_is_read(
    sender: Sender, stored: Stored
) -> None:
    text = json.dumps(started(a=float("nan"), b=-(10**18) * 15, c=10**19)).encode()
    answer = await sender.post_bytes(text, None, STARTED_PATH)
    assert answer.body["status"] == "created"


async def test_the_longest_names_of_the_widest_letters(sender: Sender, stored: Stored) -> None:
    wide = "".join(chr(0x1F300 + 7 * n % 600) for n in range(255))
    told = started(job_id=wide, cluster=wide, scheduler=wide[:64], user=wide)
    assert (await sender.post(told, STARTED_PATH)).body["status"] == "created"
    long = "".join(chr(0x1F300 + 11 * n % 700) for n in range(1024))
    told = started(name=long, account=long, partition=long, node_list=[wide], comment=long)
    assert (await sender.post(told, STARTED_PATH)).body["status"] == "created"


async def test_a_job_on_very_many_nodes(sender: Sender, stored: Stored) -> None:
    nodes = [f"node-{n:05}" for n in range(20_000)]
    answer = await sender.post(started(node_list=nodes), STARTED_PATH)
    assert answer.body["status"] == "created"
    assert (await the_job(stored))["nodes"] == nodes


async def test_times_keep_their_zone(sender: Sender, stored: Stored) -> None:
    await sender.post(started(timestamp="2026-01-02T03:04:05.25+05:30"), STARTED_PATH)
    assert (await the_job(stored))["start_at"].isoformat() == "2026-01-01T21:34:05.250000+00:00"


async def test_events_of_other_types_are_refused_like_samples(sender: Sender) -> None:
    for path in (STARTED_PATH, FINISHED_PATH):
        assert (await sender.post_bytes(b"{}", {"Content-Type": "text/plain"}, path)).status == 415
        assert (await sender.post_bytes(b"{}", {"Content-Encoding": "br"}, path)).status == 415
        assert (await sender.post_bytes(b"{", {"Content-Encoding": "gzip"}, path)).status == 400
        assert (await sender.post_bytes(b"x" * (9 << 20), None, path)).status == 413


async def test_a_start_of_the_next_run_is_another_job(sender: Sender, stored: Stored) -> None:
    await sender.post(started(), STARTED_PATH)
    await sender.post(finished(timestamp=iso(START + 60)), FINISHED_PATH)
    again = await sender.post(started(timestamp=iso(START + 60 + 7200)), STARTED_PATH)
    assert again.body["status"] == "created"
    runs = await stored.all("select run, state from tsobs_store.job order by run")
    assert [list(each.values()) for each in runs] == [[0, "failed"], [1, "running"]]
