"""What is refused over HTTP: each names field and rule, nothing of it is stored, all goes on."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from tests.batches import Agent, job, replaced, row
from tests.fix_service import StartService
from tests.integration.ingest.sending import Sender, Stored, accepted, open_sender
from tests.unit.ingest.test_batch import REFUSED, whole
from tests.unit.ingest.test_body import bomb
from tsobs.columns import TABLES
from tsobs.settings import Settings

NOW = float(int(time.time()))
DAY_S = 86_400.0
JSON = {"Content-Type": "application/json"}
GZIP = {**JSON, "Content-Encoding": "gzip"}


async def nothing_stored(stored: Stored) -> bool:
    tables = (*TABLES, "ingest_stream", "job", "node", "gpu", "job_node", "job_gpu", "job_event")
    counts = [await stored.value(f"select count(*) from tsobs_store.{name}") for name in tables]
    return not any(counts)


# Structure: 400, nothing stored, the seq is free.


async def test_a_broken_shape_is_refused_and_its_seq_is_free(
    sender: Sender, stored: Stored
) -> None:
    agent = Agent()
    good = agent.batch(node_sample=[row(NOW, load1=1.0)])
    ragged = replaced(good, ("tables", "node_sample", "load1"), [1.0, 2.0])
    answer = await sender.post(ragged)
    assert answer.refusal == (400, "invalid_request", "node_sample.load1")
    assert "as long as the others" in answer.body["details"]["rule"]
    assert await nothing_stored(stored)
    assert accepted([await sender.post(good)]) == ["accepted"]


async def test_every_broken_shape_is_refused_over_http_and_nothing_of_it_is_stored(
    sender: Sender, stored: Stored
) -> None:
    for path, instead, field, _ in REFUSED:
        if instead is ...:
            continue
        body = replaced(whole(), path, instead)
        # Infinity arrives as what an agent would write for it.
        answer = await sender.post_bytes(json.dumps(body).encode())
        assert answer.refusal == (400, "invalid_request", field), (path, instead, answer)
        assert answer.body["details"]["rule"]
    assert await nothing_stored(stored)


NOT_JSON = (b"", b"{", b"[1, 2", b"\xff\xfe", b'{"seq": \x00}', b'"\\ud800"', b"[" * 1_500, b"x")


async def test_what_is_not_json_is_refused(sender: Sender, stored: Stored) -> None:
    for body in NOT_JSON:
        for sent, headers in ((body, JSON), (gzip.compress(body), GZIP)):
            answer = await sender.post_bytes(sent, headers)
            assert answer.refusal == (400, "invalid_request", "body")
            assert answer.body["details"]["rule"] == "JSON in UTF-8"
    assert await nothing_stored(stored)


async def test_broken_gzip_is_refused(sender: Sender, stored: Stored) -> None:
    packed = gzip.compress(json.dumps(whole()).encode())
    for body in (packed[:-1], packed[:40], packed + b"x", packed + packed, b"", b"{}", b"\x1f\x8b"):
        answer = await sender.post_bytes(body, GZIP)
        assert answer.refusal == (400, "invalid_request", "body")
        assert answer.body["details"]["rule"] == "one gzip member"
    assert await nothing_stored(stored)


async def test_other_encodings_and_types_are_415(sender: Sender) -> None:
    for encoding in ("br", "zstd", "deflate", "gzip, gzip"):
        answer = await sender.post_bytes(b"{}", {**JSON, "Content-Encoding": encoding})
        assert answer.refusal == (415, "unsupported_media_type", "Content-Encoding")
        assert answer.body["details"]["rule"] == "gzip or identity"
    for kind in ("text/plain", "application/x-www-form-urlencoded", "text/json"):
        answer = await sender.post_bytes(b"{}", {"Content-Type": kind})
        assert answer.refusal == (415, "unsupported_media_type", "Content-Type")
        assert answer.body["details"]["rule"] == "application/json"


async def test_what_unpacks_to_too_much_is_413(sender: Sender, stored: Stored) -> None:
    started = time.monotonic()
    honest = gzip.compress(bytes(Settings().max_decoded_bytes + 1), 1)
    answer = await sender.post_bytes(honest, GZIP)
    assert answer.refusal == (413, "too_large", "body")
    # One that says to be smaller is not unpacked beyond that.
    answer = await sender.post_bytes(bomb(), GZIP)
    assert answer.refusal == (400, "invalid_request", "body")
    assert time.monotonic() - started < 3
    assert await nothing_stored(stored)


async def test_100_mb_are_413_at_once(sender: Sender, stored: Stored) -> None:
    parts = urlsplit(sender.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = f"POST /v1/samples HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: 100000000"
    writer.write(f"{head}\r\nContent-Type: application/json\r\n\r\n".encode())
    await writer.drain()
    async with asyncio.timeout(2):
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().split(b"content-length:")[1].split()[0])
        body = json.loads(await reader.readexactly(length))
    assert answer.startswith(b"HTTP/1.1 413")
    assert body["error"] == "too_large"
    assert str(Settings().max_body_bytes) in body["message"]
    writer.close()
    assert await nothing_stored(stored)


async def endless(size_bytes: int) -> AsyncIterator[bytes]:
    for _ in range(size_bytes >> 16):
        yield b"x" * (1 << 16)


async def test_chunked_without_a_length_is_taken_and_cut_off_at_the_limit(
    sender: Sender, stored: Stored
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        text = json.dumps(Agent().batch(node_sample=[row(NOW)])).encode()
        for start in range(0, len(text), 100):
            yield text[start : start + 100]

    assert accepted([await sender.post_bytes(pieces())]) == ["accepted"]
    with suppress(ConnectionResetError):
        answer = await sender.post_bytes(endless(20 << 20))
        assert answer.refusal == (413, "too_large", "body")
    assert (await stored.counts())["node_sample"] == 1


async def test_a_body_that_breaks_off_stores_nothing(sender: Sender, stored: Stored) -> None:
    text = json.dumps(Agent().batch(node_sample=[row(NOW)])).encode()
    parts = urlsplit(sender.url)
    for sent in (0, 10, len(text) - 1):
        _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        head = f"POST /v1/samples HTTP/1.1\r\nHost: x\r\nContent-Length: {len(text)}"
        writer.write(f"{head}\r\nContent-Type: application/json\r\n\r\n".encode() + text[:sent])
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.transport.abort()
    assert accepted([await sender.post(Agent("n2").batch(node_sample=[row(NOW)]))]) == ["accepted"]
    assert [node["name"] for node in await stored.rows("node")] == ["n2"]


# Rows: the bad ones are left out and named, the rest is stored, the seq is taken.


async def test_bad_rows_are_left_out_and_named(sender: Sender, stored: Stored) -> None:
    agent = Agent()
    text = json.dumps(
        agent.batch(
            jobs=[job()],
            gpus=[{"uuid": "GPU-0"}],
            job_sample=[
                row(NOW, job=0, cpu_user_s=1.0),
                row(NOW, job=0, cpu_user_s=-1.0),
                row(NOW, job=0, cpu_user_s=1e300),
                row(NOW, job=0, memory_used_bytes=float("nan")),
                row(NOW, job=0, oom_kills=float("inf")),
                row(NOW, job=0, io_read_ops=10**400),
            ],
            gpu_sample=[row(NOW, gpu=0, share=2.0), row(NOW, gpu=0, share=1, utilization_ratio=50)],
            node_sample=[row(NOW + DAY_S), row(NOW - 8 * DAY_S), row(NOW) | {"interval_s": 0}],
        )
    )
    answer = await sender.post_bytes(text.encode())
    assert (answer.status, answer.body["status"]) == (200, "accepted")
    assert answer.body["stored"] == {"job_sample": 1}
    assert answer.body["rejected_count"] == 10
    found = {(r["table"], r["row"], r["field"], r["rule"]) for r in answer.body["rejected"]}
    assert found == {
        ("job_sample", 1, "cpu_user_s", "out_of_range"),
        ("job_sample", 2, "cpu_user_s", "out_of_range"),
        ("job_sample", 3, "memory_used_bytes", "not_finite"),
        ("job_sample", 4, "oom_kills", "not_finite"),
        ("job_sample", 5, "io_read_ops", "not_finite"),
        ("gpu_sample", 0, "share", "out_of_range"),
        ("gpu_sample", 1, "utilization_ratio", "out_of_range"),
        ("node_sample", 0, "time", "too_far_ahead"),
        ("node_sample", 1, "time", "too_old"),
        ("node_sample", 2, "interval_s", "out_of_range"),
    }
    counts = await stored.counts()
    assert counts == {"job_sample": 1, "gpu_sample": 0, "node_sample": 0, "ingest_stream": 1}
    assert await stored.value("select cpu_user_s from tsobs_store.job_node") == 1.0
    assert await stored.value("select sample_count from tsobs_store.node") == 0
    # The seq is taken: the same bytes are a duplicate.
    assert (await sender.post_bytes(text.encode())).body["status"] == "duplicate"


async def test_a_batch_of_bad_rows_alone_is_accepted_and_empty(
    sender: Sender, stored: Stored
) -> None:
    batch = Agent().batch(node_sample=[row(0.0)] * 250)
    answer = await sender.post(batch)
    assert (answer.status, answer.body["stored"]) == (200, {})
    assert (answer.body["rejected_count"], len(answer.body["rejected"])) == (250, 100)
    assert (await sender.post(batch)).body["status"] == "duplicate"
    assert (await stored.counts())["node_sample"] == 0


@pytest.mark.parametrize("days", [1, 7, 30])
async def test_rows_are_kept_up_to_the_edge_of_retention(
    start_service: StartService, stored: Stored, days: int
) -> None:
    url = await start_service(migrate=True, metrics_retention_days=days)
    await stored.connection.execute("select tsobs_store.set_raw_retention($1)", float(days))
    now = time.time()
    ages = {days * DAY_S - 30: True, days * DAY_S + 1: False, -590.0: True, -620.0: False}
    async with open_sender(url) as sender:
        answer = await sender.post(Agent().batch(node_sample=[row(now - age) for age in ages]))
    assert answer.body["stored"] == {"node_sample": 2}
    found = {(r["row"], r["rule"]) for r in answer.body["rejected"]}
    assert found == {(1, "too_old"), (3, "too_far_ahead")}


async def test_what_is_not_known_is_ignored_named_and_counted(
    sender: Sender, stored: Stored
) -> None:
    batch = Agent().batch(node_sample=[row(NOW, load1=1.0, noise_db=30.0)], fan_sample=[row(NOW)])
    batch["colour"] = "blue"
    answer = await sender.post(batch)
    assert sorted(answer.body["ignored"]) == ["colour", "node_sample.noise_db", "tables.fan_sample"]
    assert answer.body["stored"] == {"node_sample": 1}
    assert await stored.value("select load1 from tsobs_store.node") == 1.0


# Names that are long: an index entry holds 2,704 bytes.


async def test_the_longest_names_of_the_widest_letters_are_taken(
    sender: Sender, stored: Stored
) -> None:
    wide = "".join(chr(0x1F300 + 7 * n % 600) for n in range(255))
    agent = Agent(wide, cluster=wide, machine_id=wide)
    batch = agent.batch(
        jobs=[job(wide, user_name=wide) | {"scheduler": wide[:64]}],
        gpus=[{"uuid": wide, "parent_uuid": wide, "model": wide, "vendor": wide}],
        job_sample=[row(NOW, job=0)],
        gpu_sample=[row(NOW, gpu=0, job=0, share=1)],
    )
    batch["node"]["aliases"] = [wide] * 16
    assert accepted([await sender.post(batch)]) == ["accepted"]
    long = await sender.post(replaced(batch, ("jobs", "scheduler", 0), wide))
    assert long.refusal == (400, "invalid_request", "jobs.scheduler")


async def test_metrics_count_what_is_refused(sender: Sender) -> None:
    await sender.post(Agent().batch(node_sample=[row(0.0), row(NOW, load1=-1.0), row(NOW)]))
    async with sender.session.get(f"{sender.url}/metrics/service") as answer:
        text = await answer.text()
    lines = [line for line in text.splitlines() if line.startswith("tsobs_ingest_rejected_rows_t")]
    assert len(lines) == 2
    assert any('rule="too_old"' in line and 'field="time"' in line for line in lines)
    assert any('rule="out_of_range"' in line and 'field="load1"' in line for line in lines)


def test_the_table_of_refusals_is_long() -> None:
    assert len(REFUSED) > 80
