"""Events as hooks send them, and a store full of ended jobs."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import asyncpg
import orjson

__all__ = ["fill", "requests"]

NODES = 5_000
USERS = 500
START = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = (
    "cluster", "scheduler", "job_id", "restart_count", "name", "user_name", "account", "partition",
    "state", "nodes", "allocated_cpus", "submit_at", "start_at", "end_at", "exit_code",
    "first_seen_at", "ranks",
)  # fmt: skip
RANKS = '{"state": 4, "start_at": 4, "end_at": 4, "user_name": 3, "nodes": 3, "exit_code": 4}'


async def fill(url: str, jobs: int) -> None:
    """COPYs so many ended jobs."""
    connection = await asyncpg.connect(url)
    await connection.copy_to_table(
        "job", source=_pieces(jobs), columns=COLUMNS, schema_name="tsobs_store", format="csv"
    )
    # Each with two tellings and two audit rows, as hooks leave them.
    await connection.execute(
        "insert into tsobs_store.job_told"
        " (job_key, digest, role, rank, state_rank, at, since, until, facts)"
        " select job_key, d, case d when 1 then 'S' else 'E' end::\"char\", 3, 3, start_at,"
        " extract(epoch from start_at), extract(epoch from end_at),"
        " jsonb_build_object('user_name', user_name, 'nodes', nodes)"
        " from tsobs_store.job, generate_series(1, 2) as d"
    )
    await connection.execute(
        "insert into tsobs_store.job_event (job_key, kind, actor, source, rank, payload)"
        " select job_key, 'started', 'slurm-prolog', 'lifecycle-event', 3,"
        " jsonb_build_object('user', user_name) from tsobs_store.job, generate_series(1, 2)"
    )
    await connection.execute("analyze")
    await connection.execute("checkpoint")
    await connection.close()


async def _pieces(jobs: int) -> AsyncIterator[bytes]:
    source = random.Random(7)
    for first in range(0, jobs, 10_000):
        lines = (_line(n, source) for n in range(first, min(first + 10_000, jobs)))
        yield "".join(lines).encode()


def _line(n: int, source: random.Random) -> str:
    start = START + timedelta(seconds=15 * n)
    end = start + timedelta(seconds=source.randrange(10, 80_000))
    user = source.randrange(USERS)
    node = source.randrange(NODES)
    ranks = RANKS.replace('"', '""')
    return (
        f"alpha,slurm,{n},0,job {n % 900},user{user},account{user % 40},batch,completed,"
        f'"{{node{node},node{(node + 1) % NODES}}}",8,{start},{start},{end},0,{start},"{ranks}"\n'
    )


def requests(host: str, jobs: int, first_id: int) -> tuple[list[bytes], list[bytes]]:
    """(starts, endings) of so many jobs on two nodes, told by the first node and by the
    controller."""
    source = random.Random(first_id)
    starts: list[bytes] = []
    ends: list[bytes] = []
    for n in range(first_id, first_id + jobs):
        for is_start, event in _events(n, source):
            path = "/v1/events/job-started" if is_start else "/v1/events/job-finished"
            body = orjson.dumps(event)
            head = (
                f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            )
            (starts if is_start else ends).append(head.encode() + body)
    source.shuffle(starts)
    source.shuffle(ends)
    return starts, ends


def _events(n: int, source: random.Random) -> Iterator[tuple[bool, dict[str, object]]]:
    start = datetime.now(UTC) - timedelta(seconds=source.randrange(1_000, 80_000))
    end = start + timedelta(seconds=source.randrange(10, 900))
    node = source.randrange(NODES)
    nodes = [f"node{node}", f"node{(node + 1) % NODES}"]
    both = {"job_id": str(n), "cluster": "alpha", "restart_count": 0, "start_time": start}
    started = both | {
        "timestamp": start, "user": f"user{n % USERS}", "node_list": nodes, "partition": "batch",
        "cpu_allocation": 8, "memory_allocation_mb": 32_000, "node": nodes[0],
        "nodes_alloc": [{"node": nodes[0], "cpus": 4}],
    }  # fmt: skip
    finished = both | {
        "timestamp": end, "end_time": end, "final_state": "completed", "exit_code": 0, "signal": 0,
        "raw_state": "COMPLETED",
    }  # fmt: skip
    named = {"source": "controller", "name": f"job {n}", "account": f"account{n % 40}"}
    yield True, started
    yield True, started | named
    yield False, finished | {"node": nodes[0]}
    yield False, finished | named
