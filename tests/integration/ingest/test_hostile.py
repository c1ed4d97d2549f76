"""A real service process that is fed garbage answers, stays up, and its memory stays flat."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.batches import Agent, row
from tests.fix_process import StartProcess
from tests.integration.ingest.hostile import GZIP, JSON, hostile_bodies, large_bodies
from tests.integration.ingest.sending import Sender, Stored, accepted, open_sender
from tests.integration.ingest.test_jobs import FINISHED_PATH, STARTED_PATH

MIB = 1 << 20
# Round after round. The allocator keeps what the first round needed, some 100 MiB on top of the 57
# of a fresh process (over 30 rounds: 131 to 175 MiB, at the most 197 within a round).
FLAT_MIB = 60
PEAK_MIB = 256
REFUSALS = {400, 409, 413, 415, 503}


class Memory:
    """Resident memory of a process, in MiB."""

    def __init__(self, pid: int) -> None:
        self._proc = Path(f"/proc/{pid}")

    def _read(self, name: str) -> int:
        found = re.search(rf"{name}:\s+(\d+) kB", (self._proc / "status").read_text())
        assert found
        return int(found[1]) >> 10

    def now(self) -> int:
        return self._read("VmRSS")

    def peak(self) -> int:
        """Since `forget`."""
        return self._read("VmHWM")

    def forget(self) -> None:
        (self._proc / "clear_refs").write_text("5")


async def send_good(sender: Sender, count: int) -> None:
    for n in range(count):
        batch = Agent(f"n{n}").batch(node_sample=[row(time.time(), cpu_user_s=1.0)] * 200)
        accepted([await sender.post_until_taken(batch)])


async def feed(sender: Sender, seed: int) -> Counter[int]:
    """Everything hostile once: one after another, and 50 of 8 MiB at once."""
    answers = []
    for n, (body, headers) in enumerate(hostile_bodies(seed)):
        path = ("/v1/samples", "/v1/samples", STARTED_PATH, FINISHED_PATH)[n % 4]
        answers.append(await sender.post_bytes(body, headers, path))
    for body, headers in large_bodies():
        answers.append(await sender.post_bytes(body, headers))
    whole = b"[" + b"0.1," * ((4 * MIB) // 4 - 2) + b"0]"
    for body, headers in ((b"\xff" * 8 * MIB, JSON), (whole, JSON), (b"\x1f\x8b" * MIB, GZIP)):
        together = (sender.post_bytes(body, headers) for _ in range(50))
        # Who is cut off while it still sends may not get to read why.
        found = await asyncio.gather(*together, return_exceptions=True)
        answers += [answer for answer in found if not isinstance(answer, BaseException)]
        assert all(isinstance(e, OSError) for e in found if isinstance(e, BaseException))
    for answer in answers:
        assert answer.status == 200 or answer.body["error"]
        assert answer.status in (200, *REFUSALS), answer
        assert answer.status == 503 or answer.status == 200 or answer.body["message"]
    return Counter(answer.status for answer in answers)


async def settled(memory: Memory, bound_mib: int) -> int:
    """MiB held when the last answers are out: as soon as it is below the bound, or after a while
    the least of all readings."""
    readings = []
    for _ in range(50):
        await asyncio.sleep(0.1)
        readings.append(memory.now())
        if readings[-1] < bound_mib:
            break
    return min(readings)


@pytest.mark.parametrize(
    "rounds", [2, pytest.param(15, marks=[pytest.mark.long, pytest.mark.timeout(900)])]
)
async def test_memory_stays_flat_and_the_service_up(
    tsobs_process: StartProcess, database_url: str, stored: Stored, rounds: int
) -> None:
    process = tsobs_process("serve", "--port", "0", DATABASE_URL=database_url)
    url = await asyncio.to_thread(process.ready)
    memory = Memory(process.pid)
    async with open_sender(url) as sender:
        await send_good(sender, 20)
        await feed(sender, 0)
        warm = memory.now()
        for seed in range(1, rounds):
            memory.forget()
            statuses = await feed(sender, seed)
            assert statuses[400] > 100
            assert memory.peak() < PEAK_MIB
            assert await settled(memory, warm + FLAT_MIB) < warm + FLAT_MIB
        await send_good(sender, 20)
        assert await settled(memory, warm + FLAT_MIB) < warm + FLAT_MIB
    assert process.popen.poll() is None
    assert await stored.value("select count(*) from tsobs_store.job_sample") <= 3 * 200 * rounds
    assert await stored.value("select count(*) from tsobs_store.node where name like 'n%'") == 20
    assert await stored.orphans() == []
    assert "Traceback" not in "".join(process.err)
    assert await asyncio.to_thread(process.stop) == 0


async def test_a_sender_who_says_much_and_sends_little_keeps_nobody_out(sender: Sender) -> None:
    host, port = sender.url.removeprefix("http://").split(":")
    head = "POST /v1/samples HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    writers = []
    for _ in range(100):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"{head}Content-Length: {4 * MIB}\r\n\r\n[".encode())
        writers.append(writer)
    await asyncio.sleep(0.2)
    for n in range(5):
        batch = Agent(f"n{n}").batch(node_sample=[row(time.time())])
        assert accepted([await sender.post(batch)]) == ["accepted"]
    for writer in writers:
        writer.transport.abort()


async def test_while_one_sends_the_worst_others_are_answered_in_time(sender: Sender) -> None:
    bodies = large_bodies()

    async def worst() -> None:
        for body, headers in bodies * 2:
            await sender.post_bytes(body, headers)

    attack = asyncio.create_task(worst())
    waits = []
    while not attack.done():
        started = time.monotonic()
        batch = Agent("n1").batch(node_sample=[row(time.time())])
        accepted([await sender.post_until_taken(batch)])
        waits.append(time.monotonic() - started)
    await attack
    assert max(waits) < 2.0
