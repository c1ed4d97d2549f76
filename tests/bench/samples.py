"""`make bench-samples`: rows through POST /v1/samples beside raw binary COPY of the same rows.

Both write into a table with the same index on the same server in the same run, and both are durable
(synchronous_commit on). The senders' bodies are made before the clock starts.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Any

import asyncpg
import numpy as np

from ingest.copyformat import Key, encode, timestamps
from tests.bench.process import cpu_seconds, resident_bytes
from tests.bench.sampledata import batch, copy_rows
from tests.bench.sender import Sent, packed, send_all, send_paced
from tests.bench.server import Server, fresh_database, running_server
from tests.processes import ServiceProcess
from tsobs.columns import TABLES

SENDERS = 50
JOBS = 20
INTERVALS = 50
COPY_ROWS = 10_000
SMALL_NODES = 5_000
SMALL_PER_S = SMALL_NODES / 15
# More than the pace times the wait for a commit, so that the pace holds.
SMALL_SENDERS = 200


def main() -> int:
    """Prints the figures; always 0, for a figure is no verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=8, help="batches a sender (default 8)")
    parser.add_argument("--rounds", type=int, default=3, help="best of so many (default 3)")
    parser.add_argument("--seconds", type=int, default=15, help="of small batches (default 15)")
    args = parser.parse_args()
    with running_server() as server:
        _say(f"{server.title}; {SENDERS} senders, {JOBS * INTERVALS}-row batches, all columns")
        large = [_large(server, args.batches, seed=n) for n in range(args.rounds)]
        _say_best(large)
        small = [_small(server, args.seconds) for _ in range(args.rounds)]
        best = min(small)
        _say(f"CPU per 8-row batch, service + PostgreSQL: {best * 1e3:.2f} ms (at most 1.50)")
        _say(f"  so {SMALL_NODES} nodes every 15 s take {best * SMALL_PER_S:.2f} of a core")
    return 0


def _large(server: Server, count: int, *, seed: int) -> tuple[float, float]:
    """(raw COPY, through HTTP) in rows/s."""
    now = time.time() - 1
    batches = [
        batch(
            node=f"n{sender}",
            seq=1,
            jobs=JOBS,
            intervals=INTERVALS,
            now=now - 900 * step,
            node_rows=0,
            seed=seed * 1_000_000 + step * 1_000 + sender,
        )
        for step in range(count)
        for sender in range(SENDERS)
    ]
    rows = len(batches) * JOBS * INTERVALS
    with fresh_database(server) as url:
        raw_s = asyncio.run(_raw_copy(url, batches))
    with fresh_database(server) as url, ServiceProcess(url) as service:
        warm = [
            packed(service.url, batch(node=f"n{n}", seq=1, jobs=JOBS, intervals=1, now=now,
                                      node_rows=0, seed=-n))
            for n in range(1, SENDERS)
        ]  # fmt: skip
        asyncio.run(send_all(service.url, warm, SENDERS))
        requests = [packed(service.url, content) for content in batches]
        before = (cpu_seconds(service.pid), cpu_seconds(server.pid))
        sent = asyncio.run(send_all(service.url, requests, SENDERS))
        used = (cpu_seconds(service.pid) - before[0], cpu_seconds(server.pid) - before[1])
        memory = resident_bytes(service.pid)
    _say(
        f"  raw {rows / raw_s:9,.0f} rows/s   http {rows / sent.wall_s:9,.0f} rows/s   ratio "
        f"{raw_s / sent.wall_s:.2f}   CPU us/row: service {used[0] / rows * 1e6:.1f}, "
        f"PostgreSQL {used[1] / rows * 1e6:.1f}   RSS {memory >> 20} MiB   {_latency(sent)}"
    )
    return rows / raw_s, rows / sent.wall_s


async def _raw_copy(url: str, batches: Sequence[dict[str, Any]]) -> float:
    """Seconds for COPY alone, commits of 10,000 rows on one connection."""
    times, jobs, values = copy_rows(batches)
    table = TABLES["job_sample"]
    columns = [*table.keys, *(column.name for column in table.columns)]
    pieces = []
    for start in range(0, len(times), COPY_ROWS):
        cut = slice(start, start + COPY_ROWS)
        node = Key((jobs[cut] // JOBS).astype(np.int32))
        pieces.append(encode([timestamps(times[cut]), Key(jobs[cut]), node], values[:, cut]))
    connection = await asyncpg.connect(url)
    started = time.perf_counter()
    for piece in pieces:
        await connection.copy_to_table(
            table.name, source=_once(piece), columns=columns, schema_name="tsobs_store",
            format="binary",
        )  # fmt: skip
    wall_s = time.perf_counter() - started
    await connection.close()
    return wall_s


async def _once(data: bytes) -> Any:
    yield data


def _small(server: Server, seconds: int) -> float:
    """CPU seconds a batch of 7 job rows and 1 node row, at the pace of 5,000 nodes every 15 s."""
    count = int(seconds * SMALL_PER_S)
    now = time.time() - 1
    with fresh_database(server) as url, ServiceProcess(url) as service:
        warm = [_small_batch(service.url, node, 1, now - 15) for node in range(count)]
        asyncio.run(send_all(service.url, warm, SENDERS))
        requests = [_small_batch(service.url, node, 2, now) for node in range(count)]
        before = (cpu_seconds(service.pid), cpu_seconds(server.pid))
        sent = asyncio.run(send_paced(service.url, requests, SMALL_SENDERS, SMALL_PER_S))
        used = (cpu_seconds(service.pid) - before[0], cpu_seconds(server.pid) - before[1])
    _say(
        f"  8-row batches at {len(requests) / sent.wall_s:.0f}/s: CPU ms each: service "
        f"{used[0] / count * 1e3:.2f}, PostgreSQL {used[1] / count * 1e3:.2f}   {_latency(sent)}"
    )
    return sum(used) / count


def _small_batch(url: str, node: int, seq: int, now: float) -> bytes:
    content = batch(node=f"n{node}", seq=seq, jobs=7, intervals=1, now=now, node_rows=1, seed=node)
    return packed(url, content)


def _say_best(results: Sequence[tuple[float, float]]) -> None:
    raw, http = max(raw for raw, _ in results), max(http for _, http in results)
    _say(f"best: raw COPY {raw:,.0f} rows/s, POST /v1/samples {http:,.0f} rows/s")
    _say(f"ratio {http / raw:.2f} (at least 0.50)")


def _latency(sent: Sent) -> str:
    return f"p50 {sent.quantile(0.5) * 1e3:.0f} ms, p95 {sent.quantile(0.95) * 1e3:.0f} ms"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
