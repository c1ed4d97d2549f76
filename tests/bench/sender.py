"""Many senders over plain sockets with bodies made beforehand: little CPU of their own."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import orjson

__all__ = ["Sent", "packed", "send_all", "send_paced"]


class Sent(NamedTuple):
    """How long it took, and how long each answer took (seconds, sorted)."""

    wall_s: float
    latencies_s: Sequence[float]

    def quantile(self, q: float) -> float:
        """A latency quantile in seconds."""
        return self.latencies_s[min(int(q * len(self.latencies_s)), len(self.latencies_s) - 1)]


def packed(url: str, batch: object) -> bytes:
    """A whole HTTP request for a batch."""
    body = gzip.compress(orjson.dumps(batch), 1)
    host = urlsplit(url).netloc
    head = (
        f"POST /v1/samples HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


# In the answer to a batch of which every row was stored.
ALL_STORED = b'"rejected_count":0'


async def send_all(
    url: str, requests: Sequence[bytes], senders: int, expected: bytes = ALL_STORED
) -> Sent:
    """Each sender posts the next request as soon as its last one is answered, with `expected` in
    the answer."""
    waiting: Iterator[bytes] = iter(requests)
    latencies: list[float] = []
    started = time.perf_counter()
    await asyncio.gather(*(_sender(url, waiting, latencies, expected) for _ in range(senders)))
    return Sent(time.perf_counter() - started, sorted(latencies))


async def send_paced(url: str, requests: Sequence[bytes], senders: int, per_s: float) -> Sent:
    """Requests start at a steady rate, whatever the answers do."""
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()
    latencies: list[float] = []
    started = time.perf_counter()

    async def drain() -> None:
        reader, writer = await _open(url)
        while request := await queue.get():
            await _post(reader, writer, request, latencies)
        writer.close()

    drains = [asyncio.create_task(drain()) for _ in range(senders)]
    for n, request in enumerate(requests):
        await asyncio.sleep(max(0.0, started + n / per_s - time.perf_counter()))
        queue.put_nowait(request)
    for _ in drains:
        queue.put_nowait(None)
    await asyncio.gather(*drains)
    return Sent(time.perf_counter() - started, sorted(latencies))


async def _sender(
    url: str, waiting: Iterable[bytes], latencies: list[float], expected: bytes
) -> None:
    reader, writer = await _open(url)
    for request in waiting:
        await _post(reader, writer, request, latencies, expected)
    writer.close()


async def _open(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port)


async def _post(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    request: bytes,
    latencies: list[float],
    expected: bytes = ALL_STORED,
) -> None:
    started = time.perf_counter()
    writer.write(request)
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    body = await reader.readexactly(length)
    if not head.startswith(b"HTTP/1.1 200") or expected not in body:
        raise RuntimeError(f"refused: {head!r} {body!r}")
    latencies.append(time.perf_counter() - started)
