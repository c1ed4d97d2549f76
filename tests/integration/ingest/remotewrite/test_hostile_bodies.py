"""Bodies made to hurt: answered 400 in little time and memory, and others are served meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

from ingest.remotewrite.unpacking import MAX_PACKED_BYTES, MAX_UNPACKED_BYTES
from tests.integration.ingest.remotewrite.writing import Remote, metric
from tests.integration.ingest.sending import Stored
from tests.remotebodies import V2Body, now_ms, packed, series, v1_body

NOW = now_ms() // 1000 * 1000
MIB = 1 << 20


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def test_what_is_declared_is_checked_before_it_is_unpacked(remote: Remote) -> None:
    before = resident_bytes()
    for size in (MAX_UNPACKED_BYTES + 1, 2**31, 2**32 - 1):
        answer = await remote.post(varint(size) + b"\xff" * 1000)
        assert answer.status == 400
        assert answer.rule == f"at most {MAX_UNPACKED_BYTES} bytes unpacked"
    assert (await remote.post(varint(MAX_UNPACKED_BYTES) + b"\xfe" * 1000)).status == 400
    assert resident_bytes() - before < 64 * MIB


async def test_a_hundred_megabytes_are_not_read(remote: Remote) -> None:
    answer = await remote.post(b"\x00" * (100 * MIB))
    # Not 413, which vmagent would repeat for ever.
    assert (answer.status, answer.rule) == (400, f"at most {MAX_PACKED_BYTES} bytes")

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"\x00" * MIB

    answer = await remote.post(endless())
    assert answer.status == 400


async def test_bombs_do_not_keep_others_waiting(remote: Remote, stored: Stored) -> None:
    zeros = packed(b"\x00" * MAX_UNPACKED_BYTES)
    # A label region without end, empty series, samples of nothing, symbols without end.
    regions = packed(b"\x0a" + varint(16 * MIB) + b"\x0a\x02\x0a\x00" * (4 * MIB))
    empty = packed(b"\x0a\x00" * (16 * MIB))
    one = series(metric(), (NOW, 1.0)).SerializeToString()
    sample = b"\x12\x07\x10" + varint(NOW)
    samples = packed(b"\x0a" + varint(len(one) + len(sample) * 2 * MIB) + one + sample * 2 * MIB)
    symbols = packed(b"\x22\x00" * (16 * MIB))
    good = V2Body().add(metric(job="good"), (NOW, 1.0)).packed()
    slowest = 0.0
    for version in (1, 2):
        for bomb in (zeros, regions, empty, samples, symbols):
            bombing = asyncio.create_task(remote.post(bomb, version))
            started = time.monotonic()
            assert (await remote.post(good, 2)).status == 204
            slowest = max(slowest, time.monotonic() - started)
            assert (await bombing).status == 400 or (version, bomb) != (1, zeros)
    assert slowest < 2.0
    assert await stored.value("select count(*) from tsobs.series") <= 2


async def test_many_bad_series_are_counted_and_few_are_named(remote: Remote) -> None:
    bad = [series({"n": str(n)}, (NOW, 1.0)) for n in range(5000)]
    answer = await remote.post(v1_body(*bad, series(metric(), (NOW, 1.0))))
    assert answer.status == 400
    assert answer.body["details"]["refused_count"] == 5000
    assert len(answer.body["details"]["refused"]) == 5
    assert len(answer.body["message"]) < 3000


async def test_deep_and_strange_messages(remote: Remote) -> None:
    for n in range(1, 16):
        for tag in (0x0A, 0x12, 0x1A, 0x22, 0x2A, 0x0B, 0x0F, 0x80):
            body = bytes([tag, n]) * 50
            for version in (1, 2):
                assert (await remote.post(packed(body), version)).status in (204, 400)
