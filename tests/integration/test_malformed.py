"""What is no HTTP, and what has no route: errors in JSON all the same."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from tests.integration.test_web import raw


def answered(response: bytes) -> tuple[bytes, dict[str, str], Any]:
    """Status line, headers and JSON body of the bytes that came back."""
    head, _, body = response.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return status.split(" ", 1)[1].encode(), headers, json.loads(body)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v1/health HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /v1/health HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
    ],
    ids=lambda sent: repr(sent[:40]),
)
async def test_what_is_no_http_is_told_so_in_json(service_url: str, sent: bytes) -> None:
    status, headers, body = answered(await raw(service_url, sent))
    assert status.startswith(b"400 ")
    assert headers["content-type"].startswith("application/json")
    assert headers["server"] == "tsobs"
    assert body["error"] == "invalid_request"
    assert body["message"] == "the request is not HTTP that can be read"
    assert set(body) == {"error", "message", "details"}


async def test_paths_and_methods_that_do_not_exist(service_url: str) -> None:
    async with aiohttp.ClientSession() as session:
        for path in ("/", "/v2/jobs", "/v1/jobs/", "/v1/jobs/1/nothing", "/%2e%2e/etc/passwd"):
            async with session.get(f"{service_url}{path}") as answer:
                assert (answer.status, (await answer.json())["error"]) == (404, "not_found")
        for method, path, allowed in (
            ("PUT", "/v1/jobs", "GET,HEAD,OPTIONS,POST"),
            ("DELETE", "/v1/jobs", "GET,HEAD,OPTIONS,POST"),
            ("POST", "/v1/jobs/1", "DELETE,GET,HEAD,OPTIONS,PATCH"),
            ("GET", "/v1/samples", "OPTIONS,POST"),
            ("PROPFIND", "/v1/nodes", "GET,HEAD,OPTIONS"),
        ):
            async with session.request(method, f"{service_url}{path}") as answer:
                body = await answer.json()
                assert (answer.status, body["error"]) == (405, "method_not_allowed")
                assert answer.headers["Allow"] == allowed
                assert ",".join(body["details"]["allowed"]) == allowed
