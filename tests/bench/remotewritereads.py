"""Reading back: one series right after a flood of samples, and matchers over many dead series."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from tests.bench.remotewritebodies import Load, requests
from tests.bench.remotewriteregister import bury, register
from tests.bench.remotewritesender import deliver, fill_spool
from tests.bench.remotewritespeed import CONNECTIONS
from tests.bench.remotewritetargets import tsobs
from tests.bench.remotewritetold import Told
from tests.bench.server import Server, fresh_database

__all__ = ["bench_matchers", "bench_reads"]

SERIES = 60_000
POINTS = 160  # of each series
READERS = 100
LATER_S = 60
HOUR = """
select time, value from tsobs.sample
where series_id = $1 and time > now() - interval '1 hour' order by time
"""
GIN = """
select indexname, indexdef from pg_indexes
where schemaname = 'tsobs_store' and tablename = 'series' and indexdef like '%USING gin%'
"""
MATCH = """
select count(*) from tsobs_store.match_series(
    $1, $2, $3, now() - interval '1 hour', now())
"""
Matcher = tuple[str, str, str]
MATCHERS: Sequence[Sequence[Matcher]] = (
    [("__name__", "=", "node_load15"), ("instance", "=", "cn00007.cluster.example.org:9100")],
    [("__name__", "=", "node_load15")],
    [("__name__", "=~", "node_(load15|cpu_.*)"), ("rack", "=", "rack-003")],
    [("instance", "=~", "cn000[0-3].*"), ("device", "=", "nvme3n1")],
    [("__name__", "=", "node_load15"), ("mode", "!=", "idle"), ("rack", "!~", "rack-00[0-2]")],
    [("__name__", "=", "node_load15"), ("absent", "=", "")],
    [("job", "=", "node-exporter")],
    [("instance", "=", "no such instance")],
)


class Latency(NamedTuple):
    """Milliseconds: of the first time, the median, and the longest after the first."""

    first: float
    median: float
    longest: float


def bench_reads(server: Server, place: Path, samples: int, told: Told) -> None:
    """The last hour of single series as soon as the last answer is out, and a minute later."""
    load = Load(
        max(CONNECTIONS, min(SERIES, samples // POINTS)), 1, samples, CONNECTIONS,
        int(time.time() * 1000) - 60_000,
    )  # fmt: skip
    told.doing(f"making {load.sent:,} samples to read back")
    spool = fill_spool(place / "reads", (requests(load, c) for c in range(CONNECTIONS)))
    with tsobs(server) as target:
        told.doing("reading back: ingest")
        deliver(spool, target.url)
        told.say(f"one series' last hour after {load.sent:,} samples of {load.series:,} series:")
        asyncio.run(_read(target.database_url, "at once", told))
        if samples >= 1_000_000:
            told.doing(f"reading back: waiting {LATER_S} s")
            time.sleep(LATER_S)
            asyncio.run(_read(target.database_url, f"after {LATER_S} s", told))
    spool.path.unlink()


async def _read(url: str, when: str, told: Told) -> None:
    connection = await asyncpg.connect(url)
    try:
        ids = [row[0] for row in await connection.fetch("select series_id from tsobs.series")]
        chosen = random.Random(1).sample(ids, min(READERS, len(ids)))
        latency, points = await _timed(connection, HOUR, [(number,) for number in chosen])
    finally:
        await connection.close()
    told.say(f"  {when}: {_shown(latency)}, {points:,} points each (at most 10 ms)")
    told.keep(part="reads", when=when, points=points, **latency._asdict())


async def _timed(
    connection: asyncpg.Connection[asyncpg.Record], statement: str, calls: Sequence[Sequence[Any]]
) -> tuple[Latency, int]:
    """As a client sees it, planning included; and how many rows the last call gave."""
    found: list[float] = []
    rows: list[asyncpg.Record] = []
    for arguments in calls:
        started = time.perf_counter()
        rows = await connection.fetch(statement, *arguments)
        found.append((time.perf_counter() - started) * 1e3)
    later = sorted(found[1:]) or found
    return Latency(found[0], later[len(later) // 2], later[-1]), len(rows)


def _shown(latency: Latency) -> str:
    return (
        f"median {latency.median:.1f} ms, longest {latency.longest:.1f} ms, "
        f"the first {latency.first:.1f} ms"
    )


def bench_matchers(server: Server, live: int, dead: int, told: Told) -> None:
    """Matchers for the last hour: only what lives is found."""
    with fresh_database(server) as url:
        told.say(f"matchers over {live:,} live and {dead:,} dead series:")
        asyncio.run(_match(url, live, dead, told))


async def _match(url: str, live: int, dead: int, told: Told) -> None:
    connection = await asyncpg.connect(url)
    try:
        await _people(connection, live, dead, told)
        for matchers in MATCHERS:
            names, ops, values = zip(*matchers, strict=True)
            call = (list(names), list(ops), list(values))
            latency, _ = await _timed(connection, MATCH, [call] * 10)
            count = await connection.fetchval(MATCH, *call)
            text = ", ".join(f'{name}{op}"{value}"' for name, op, value in matchers)
            told.say(f"  {{{text}}}: {_shown(latency)}, {count:,} series (at most 50 ms)")
            told.keep(part="matchers", matchers=text, series=count, **latency._asdict())
    finally:
        await connection.close()


async def _people(
    connection: asyncpg.Connection[asyncpg.Record], live: int, dead: int, told: Told
) -> None:
    # Three million rows go in first: entry by entry these indexes take most of the time.
    indexes = await connection.fetch(GIN)
    for index in indexes:
        await connection.execute(f"drop index tsobs_store.{index['indexname']}")
    step = 20_000
    known: dict[tuple[str, str], int] = {}
    for start in range(live, live + dead, step):
        if (start - live) % 200_000 == 0:
            told.doing(f"registering dead series: {start - live:,} of {dead:,}")
        await bury(connection, range(start, min(start + step, live + dead)), known)
    told.doing("indexing dead series")
    for index in indexes:
        await connection.execute(index["indexdef"])
    told.doing(f"registering {live:,} live series")
    await register(connection, range(live))
    # As autovacuum leaves them in time.
    await connection.execute("vacuum analyze tsobs_store.series")
    await connection.execute("vacuum analyze tsobs_store.label")
