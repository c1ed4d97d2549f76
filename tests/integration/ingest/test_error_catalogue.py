"""The errors that clients of the older service know, row by row: status, code and words."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest

from tests.integration.ingest.sending import Sender, Stored

JOB = {"id": "1", "user": "alice", "nodes": ["n1"]}
SAMPLE = {"cpu_usage": 50, "memory_usage_mb": 100}
STARTED = {
    "job_id": "9",
    "user": "alice",
    "node_list": ["n1"],
    "timestamp": "2026-01-02T03:04:05Z",
}
FINISHED = {"job_id": "9", "final_state": "failed", "timestamp": "2026-01-02T03:04:06Z"}


class Row(NamedTuple):
    """One row of the catalogue: what is sent, and the answer."""

    request: tuple[str, str, Any]
    status: int
    error: str
    message: str
    headers: dict[str, str] = {}  # noqa: RUF012


def without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


def invalid(path: str, body: dict[str, Any], message: str) -> Row:
    return Row(("POST", path, body), 400, VALIDATION, message)


EXISTS = "Job with this ID already exists"
VALIDATION = "validation_error"
INVALID = "invalid_request"
CATALOGUE = [
    Row(("POST", "/v1/jobs", "{"), 400, INVALID, "Invalid JSON body"),
    Row(("POST", "/v1/jobs", []), 400, INVALID, "Invalid JSON body"),
    Row(("POST", "/v1/jobs", JOB | {"x": "\x00"}), 400, INVALID, "Invalid JSON body"),
    Row(("PATCH", "/v1/jobs/here", "nonsense"), 400, INVALID, "Invalid JSON body"),
    Row(("POST", "/v1/jobs/here/metrics", "["), 400, INVALID, "Invalid JSON body"),
    Row(("POST", "/v1/events/job-started", "{"), 400, INVALID, "Invalid JSON body"),
    Row(("POST", "/v1/events/job-finished", "5"), 400, INVALID, "Invalid JSON body"),
    Row(
        ("GET", "/v1/jobs?limit=x", None),
        400,
        INVALID,
        "Invalid format for parameter limit: must be a whole number from 1 to 1000",
    ),
    Row(
        ("GET", "/v1/jobs/here/metrics?start_time=now", None),
        400,
        INVALID,
        "Invalid format for parameter start_time: "
        "must be a time with offset, such as 2026-01-31T12:00:00Z",
    ),
    Row(
        ("GET", "/v1/jobs?user=a&user=b", None), 400, INVALID, "Expected one value for user, got 2"
    ),
    *(
        Row(
            (method, path, body),
            400,
            code,
            message.format(name),
            {name: value} if value is not None else {f"-{name}": ""},
        )
        for method, path, body in (
            ("POST", "/v1/jobs", JOB),
            ("PATCH", "/v1/jobs/here", {"state": "completed"}),
            ("DELETE", "/v1/jobs/here", None),
            ("POST", "/v1/jobs/here/metrics", SAMPLE),
        )
        for name in ("X-Changed-By", "X-Source")
        for value, code, message in (
            (None, INVALID, "Header parameter {} is required, but not found"),
            ("", VALIDATION, "{} header is required"),
            ("  ", VALIDATION, "{} header is required"),
        )
    ),
    invalid("/v1/jobs", without(JOB, "id"), "Job ID is required"),
    invalid("/v1/jobs", JOB | {"id": ""}, "Job ID is required"),
    invalid("/v1/jobs", without(JOB, "user"), "User is required"),
    invalid("/v1/jobs", without(JOB, "nodes"), "At least one node is required"),
    invalid("/v1/jobs", JOB | {"nodes": []}, "At least one node is required"),
    invalid("/v1/jobs", JOB | {"nodes": [""]}, "At least one node is required"),
    *(
        Row(("PATCH", "/v1/jobs/here", {"state": state}), 400, VALIDATION, "Invalid job state")
        for state in ("done", "COMPLETED", "unknown", 5, ["failed"])
    ),
    *(
        Row((method, path, body | {field: value}), 400, VALIDATION, message)
        for method, path, body in (
            ("PATCH", "/v1/jobs/here", {}),
            ("POST", "/v1/jobs/here/metrics", SAMPLE),
        )
        for field, values, message in (
            ("cpu_usage", (-0.1, 100.1, "50", True), "CPU usage must be between 0 and 100"),
            ("memory_usage_mb", (-1, 1.5, "1"), "Memory usage must be non-negative"),
            ("gpu_usage", (-1, 101, []), "GPU usage must be between 0 and 100"),
        )
        for value in list[Any](values)
    ),
    invalid("/v1/events/job-started", without(STARTED, "job_id"), "job_id is required"),
    invalid("/v1/events/job-started", without(STARTED, "user"), "user is required"),
    invalid("/v1/events/job-started", without(STARTED, "node_list"), "node_list is required"),
    invalid("/v1/events/job-finished", without(FINISHED, "job_id"), "job_id is required"),
    invalid("/v1/events/job-finished", FINISHED | {"final_state": "done"}, "Invalid final_state"),
    *(
        Row((method, path, body), 404, "not_found", "Job not found")
        for method, path, body in (
            ("GET", "/v1/jobs/nothing", None),
            ("PATCH", "/v1/jobs/nothing", {"state": "completed"}),
            ("DELETE", "/v1/jobs/nothing", None),
            ("GET", "/v1/jobs/nothing/metrics", None),
            ("POST", "/v1/jobs/nothing/metrics", SAMPLE),
            ("GET", "/v1/jobs/nothing/events", None),
        )
    ),
    Row(("POST", "/v1/jobs", JOB | {"id": "here"}), 409, "conflict", EXISTS),
    Row(("POST", "/v1/jobs", JOB | {"id": "ended"}), 409, "conflict", EXISTS),
    *(
        Row(
            (method, path, body),
            409,
            "conflict",
            "Job is in terminal state and cannot be updated",
        )
        for method, path, body in (
            ("PATCH", "/v1/jobs/ended", {"state": "failed"}),
            ("PATCH", "/v1/jobs/ended", {"state": "running"}),
            ("PATCH", "/v1/jobs/ended", {"cpu_usage": 5}),
            ("POST", "/v1/jobs/ended/metrics", SAMPLE),
        )
    ),
]  # fmt: skip


def sent_headers(row: Row) -> dict[str, str]:
    return {name: value for name, value in row.headers.items() if not name.startswith("-")}


async def ask(sender: Sender, row: Row) -> tuple[int, Any]:
    """Sends a row's request: text as it is, a header that begins with `-` not at all."""
    method, path, body = row.request
    headers = {"X-Changed-By": "tester", "X-Source": "tests"} | sent_headers(row)
    for name in row.headers:
        headers.pop(name.removeprefix("-"), None) if name.startswith("-") else None
    text = body if isinstance(body, str) else None if body is None else json.dumps(body)
    answer = await sender.exchange(method, path, text, headers)
    return answer.status, answer.body


async def test_the_catalogue(sender: Sender, stored: Stored) -> None:
    assert (await sender.ask("POST", "/v1/jobs", JOB | {"id": "here"})).status == 201
    assert (await sender.ask("POST", "/v1/jobs", JOB | {"id": "ended"})).status == 201
    assert (await sender.ask("PATCH", "/v1/jobs/ended", {"state": "completed"})).status == 200
    jobs, events = await stored.rows("job"), await stored.rows("job_event")
    for row in CATALOGUE:
        status, body = await ask(sender, row)
        assert (status, body["error"], body["message"]) == row[1:4], row
        assert set(body) == {"error", "message", "details"}
    # A refusal changes nothing.
    assert await stored.rows("job") == jobs
    assert await stored.rows("job_event") == events
    assert await stored.rows("job_reported") == []


async def test_an_error_of_ours_tells_nothing_of_its_cause(sender: Sender, stored: Stored) -> None:
    await stored.connection.execute("drop function tsobs_store.count_jobs")
    answer = await sender.exchange("GET", "/v1/jobs", None, {})
    assert answer.status == 500
    assert (answer.body["error"], answer.body["message"]) == (
        "internal_error",
        "Internal server error",
    )
    assert answer.body["details"] == {"correlation_id": answer.headers["X-Correlation-Id"]}


@pytest.mark.parametrize("name", ["X-Changed-By", "X-Source"])
async def test_an_audit_header_comes_once_and_can_be_read(sender: Sender, name: str) -> None:
    for value in ("x" * 256, "a\tb", "ä"):
        answer = await sender.ask("POST", "/v1/jobs", JOB, {name: value})
        assert (answer.status, answer.body["error"]) == (400, INVALID)
        assert answer.body["message"].startswith(f"Invalid format for parameter {name}: ")
    pairs = [("X-Changed-By", "a"), ("X-Source", "b"), (name, "c")]
    twice = await sender.exchange("POST", "/v1/jobs", json.dumps(JOB), pairs)
    assert (twice.status, twice.body["message"]) == (400, f"Expected one value for {name}, got 2")
