"""What a request may say of itself, over HTTP: media types, packings, methods."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.ingest.remotewrite.writing import Remote, metric
from tests.integration.ingest.sending import Stored
from tests.remotebodies import V2Body, now_ms, series, v1_body

V2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"


UNREAD = [
    ("Content-Type", "application/json"),
    ("Content-Type", "image/png"),
    ("Content-Type", "application/x-protobuf;proto=prometheus.Nothing"),
    ("Content-Type", "application/x-protobuf;proto"),
    ("Content-Type", ";proto=prometheus.WriteRequest"),
    ("Content-Encoding", "gzip"),
    ("Content-Encoding", "deflate"),
    ("Content-Encoding", "zstd"),
    ("Content-Encoding", "br"),
    ("Content-Encoding", "identity"),
    ("Content-Encoding", "snappy, gzip"),
]


@pytest.mark.parametrize("version", [1, 2])
async def test_what_is_not_read_is_415(remote: Remote, stored: Stored, version: int) -> None:
    for header, value in UNREAD:
        answer = await remote.post(v1_body(series(metric())), version, {header: value})
        assert answer.status == 415, value
        assert answer.body["error"] == "unsupported_media_type"
        assert answer.body["details"]["field"] == header
    assert await stored.value("select count(*) from tsobs.sample") == 0


READ = (
    None, "application/x-protobuf", "application/x-protobuf;proto=prometheus.WriteRequest",
    "application/x-protobuf; proto=prometheus.WriteRequest", "Application/X-Protobuf",
)  # fmt: skip


async def test_what_is_read_as_1_0(remote: Remote) -> None:
    for media in READ:
        body = v1_body(series(metric()))
        # The version header decides nothing.
        more = {"Content-Type": media, "X-Prometheus-Remote-Write-Version": "2.0.0"}
        answer = await remote.post(body, 1, more)
        assert (answer.status, answer.body, answer.written) == (204, None, None), media


async def test_the_content_type_alone_makes_it_2_0(remote: Remote) -> None:
    body = V2Body().add(metric(), (now_ms(), 1.0)).packed()
    for more in ({}, {"X-Prometheus-Remote-Write-Version": None}, {"Content-Encoding": None}):
        changed: dict[str, Any] = {"Content-Type": V2, **more}
        answer = await remote.post(body, 1, changed)
        assert (answer.status, answer.written) == (204, (1, 0, 0))


@pytest.mark.parametrize("path", ["/api/v1/write", "/api/v1/push"])
async def test_methods(remote: Remote, path: str) -> None:
    for method in ("GET", "PUT", "DELETE", "PATCH", "HEAD"):
        async with remote.session.request(method, f"{remote.url}{path}") as answer:
            assert answer.status == 405
            assert "POST" in answer.headers["Allow"]


async def test_the_alias_is_the_same_thing(remote: Remote, stored: Stored) -> None:
    body = v1_body(series(metric()))
    for path in ("/api/v1/push", "/api/v1/write"):
        assert (await remote.post(body, path=path)).status == 204
    assert await stored.value("select count(*) from tsobs.sample") == 1


async def test_the_probe_of_vmagent_is_refused(remote: Remote) -> None:
    """It then speaks Prometheus' protocol."""
    answer = await remote.post(b"", path="/api/v1/write?get_vm_proto_version=1")
    assert answer.status == 400
    answer = await remote.post(b"(\xb5/\xfd zstd", 1, {"Content-Encoding": "zstd"})
    assert answer.status == 415
