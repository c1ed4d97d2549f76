"""Real Prometheus and vmagent through crashes of service and database: by SQL, all that they have
themselves, once."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import asyncpg
import numpy as np
import orjson
import pytest

from tests.acceptance.asking import wait_until
from tests.fix_db import kill
from tests.fix_peers import StartSender
from tests.processes import ServiceProcess
from tests.senders import SENDERS, Kept, Labels, Sender
from tests.stubtargets import SPECIAL, StubTargets
from tsobs.embedded.cluster import Cluster
from tsobs.migrate import migrate
from tsobs.retention import maintain_once

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

IS_STALE = r"float8send(value) = '\x7ff0000000000002'"
SERIES = """
select series_id, labels - 'sender' as labels from tsobs.series
where labels ->> 'sender' = $1 and metric like 'stub\\_%'
"""
SAMPLES = f"""
select series_id, count(*) filter (where not {IS_STALE}) as count,
    sum(value) filter (where not {IS_STALE}) as sum, count(*) filter (where {IS_STALE}) as markers
from tsobs.sample where series_id = any($1) group by series_id
"""
ROLLUPS = """
select series_id, sum(count)::int8 as count, sum(sum) as sum, min(min) as min, max(max) as max
from tsobs.sample_5m where series_id = any($1) group by series_id
"""
ONE = f"""
select extract(epoch from time)::float8 * 1000 as time_ms, float8send(value) as bits
from tsobs.sample where series_id = $1 and not {IS_STALE} order by time
"""
ENDED = f"""
select count(*) from tsobs.series join (
    select series_id, max(time) filter (where {IS_STALE}) = max(time) as is_over
    from tsobs.sample group by series_id
) as newest using (series_id)
where metric like 'stub\\_%' and is_over
"""
METADATA = "select type, help from tsobs.metric_metadata where metric = 'stub_requests_total'"
TRIED = 40  # series that are compared sample by sample


class Size(NamedTuple):
    """Series of each sender, crashes of service and of database, and the time for all."""

    targets: int
    series: int
    kills: int
    pause_s: tuple[float, float]
    flush_s: float


SHORT = Size(targets=2, series=150, kills=3, pause_s=(0.2, 1.2), flush_s=60)
# 20,000 series and over each second.
FULL = Size(targets=10, series=2_100, kills=4, pause_s=(1.0, 12.0), flush_s=240)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("names", "size"),
    [
        pytest.param(tuple(SENDERS), SHORT, id="all-short"),
        *(pytest.param((n,), FULL, id=f"{n}-full", marks=pytest.mark.long) for n in SENDERS),
    ],
)
def test_what_a_sender_has_is_in_the_database_once(
    private_cluster: Cluster, start_sender: StartSender, names: tuple[str, ...], size: Size
) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    began = time.monotonic()
    url = private_cluster.url()
    asyncio.run(migrate(url))
    with (
        StubTargets(size.targets, size.series) as stub,
        ServiceProcess(url, log_level="error") as service,
    ):
        write = f"{service.url}/api/v1/write"
        senders = [start_sender(name, stub, write) for name in names]
        wait_until(lambda: all(sender.is_sending() for sender in senders), 60)
        stub.begin()
        _crash(private_cluster, service, size, random.Random(seed))
        print(f"crashes are over: {time.monotonic() - began:.0f} s")
        for sender in senders:
            sender.stop_scraping()
        _wait_for_the_end(url, senders, size)
        print(f"all is sent: {time.monotonic() - began:.0f} s")
        asyncio.run(_bring_up_to_date(url))
        for sender in senders:
            assert sender.failed() == 0
            asyncio.run(_judge(url, sender, size))
    if any(name.startswith("prometheus") for name in names):
        asyncio.run(_check_metadata(url))


def _crash(cluster: Cluster, service: ServiceProcess, size: Size, source: random.Random) -> None:
    """kill -9 of the database, then of the service, at random moments."""
    for _ in range(size.kills):
        time.sleep(source.uniform(*size.pause_s))
        kill(cluster)
        time.sleep(source.uniform(0.1, 1.0))
        cluster.start()
        time.sleep(source.uniform(*size.pause_s))
        service.kill()
        service.start()
    time.sleep(2)


def _wait_for_the_end(url: str, senders: Sequence[Sender], size: Size) -> None:
    """Until nothing is pending and every series ends with a stale marker."""
    expected = len(senders) * size.targets * (size.series + len(SPECIAL))

    def is_over() -> bool:
        time.sleep(0.5)
        if any(sender.pending() for sender in senders):
            return False
        return bool(asyncio.run(_value(url, ENDED)) == expected)

    wait_until(is_over, size.flush_s)


async def _bring_up_to_date(url: str) -> None:
    """What the policies and the service's maintenance do in time."""
    connection = await asyncpg.connect(url)
    try:
        if await connection.fetchval("show timescaledb.license") == "timescale":
            await connection.execute(
                "call refresh_continuous_aggregate('tsobs_store.sample_5m', null,"
                " now() - interval '5 minutes')"
            )
        else:
            await maintain_once(url)
    finally:
        await connection.close()


async def _judge(url: str, sender: Sender, size: Size) -> None:
    """Count and sum of each series, raw and rolled up, and some of them sample by sample."""
    kept = sender.kept()
    connection: Connection = await asyncpg.connect(url)
    try:
        series = await connection.fetch(SERIES, sender.name)
        ids = {frozenset(orjson.loads(row["labels"]).items()): row["series_id"] for row in series}
        assert len(ids) == len(series) == size.targets * (size.series + len(SPECIAL))
        raw = _by_series(await connection.fetch(SAMPLES, list(ids.values())))
        rolled = _by_series(await connection.fetch(ROLLUPS, list(ids.values())))
        assert set(kept) <= set(ids)
        for labels, number in ids.items():
            if "nan" in dict(labels).values():
                _check_nan(number, raw, rolled)
            else:
                _check_sums(labels, kept[labels], raw[number], rolled[number])
        total = sum(row["count"] for row in raw.values())
        print(f"{sender.name}: {total:,} samples of {len(ids):,} series")
        assert total > 4 * len(ids)
        for labels in random.sample(sorted(kept, key=sorted), min(TRIED, len(kept))):
            await _check_samples(connection, ids[labels], kept[labels])
    finally:
        await connection.close()


def _by_series(rows: Iterable[Any]) -> dict[int, Any]:
    return {row["series_id"]: row for row in rows}


def _check_sums(labels: Labels, kept: Kept, raw: Any, rolled: Any) -> None:
    # Values are quarters, so that their sums are exact; the huge ones' are not.
    expected = math.fsum(kept.values) if math.isfinite(kept.values[0]) else kept.values[0]
    for name, row in (("sample", raw), ("sample_5m", rolled)):
        assert row["count"] == len(kept.values), (name, sorted(labels))
        assert math.isclose(row["sum"], expected, rel_tol=1e-12), (name, sorted(labels))
    assert (rolled["min"], rolled["max"]) == (min(kept.values), max(kept.values))
    assert raw["markers"] >= 1


def _check_nan(number: int, raw: dict[int, Any], rolled: dict[int, Any]) -> None:
    """NaN is kept, and is in no aggregate."""
    assert raw[number]["count"] > 0
    assert raw[number]["markers"] >= 1
    assert number not in rolled or rolled[number]["count"] == 0


async def _check_samples(connection: Connection, number: int, kept: Kept) -> None:
    rows = await connection.fetch(ONE, number)
    assert [round(row["time_ms"]) for row in rows] == kept.time_ms
    values = np.frombuffer(b"".join(row["bits"] for row in rows), ">f8")
    np.testing.assert_array_equal(values, np.array(kept.values))


async def _check_metadata(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(METADATA)
        assert row is not None
        assert tuple(row) == ("counter", "What was asked, \\ and \n escaped.")
    finally:
        await connection.close()


async def _value(url: str, statement: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()
