"""sample_5m is what a recount of the raw samples gives, however late they come."""

from __future__ import annotations

import math
import struct
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.sql.labelled import Sample, Store, bucket
from tsobs.retention import maintain_once, set_retention

Row: TypeAlias = tuple[int, float, float, float, float, float, datetime, datetime]

STALE: float = struct.unpack("<d", (0x7FF0000000000002).to_bytes(8, "little"))[0]
# Well in the past, so that no bucket is open and every COPY after the first is late.
START = bucket(datetime.now(UTC) - timedelta(days=3))
SPAN_S = 2_000
SETTINGS = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
values = (
    st.floats(-1e9, 1e9)
    | st.integers(-1000, 1000).map(float)
    | st.sampled_from([math.nan, STALE, math.inf, -math.inf, 0.0, -0.0])
)
moments = st.tuples(st.integers(0, 2), st.integers(0, SPAN_S * 1000))
# Batches in the order they come; after each, the rollup may be brought up to date, and chunks
# be compacted.
histories = st.lists(
    st.tuples(
        st.dictionaries(moments, values, min_size=1, max_size=30), st.booleans(), st.booleans()
    ),
    min_size=1,
    max_size=4,
)
examples = count()


def recount(samples: list[Sample]) -> dict[tuple[int, datetime], Row]:
    """Count, sum, min, max, first, last, and when these two were; of real values."""
    groups = defaultdict(list)
    for one in samples:
        if not math.isnan(one.value):
            groups[one.series_id, bucket(one.time)].append(one)
    rows = {}
    for key, group in groups.items():
        group.sort(key=lambda one: one.time)
        all_values = [one.value for one in group]
        first, last = group[0], group[-1]
        rows[key] = (
            len(group),
            sum(all_values),
            min(all_values),
            max(all_values),
            first.value,
            last.value,
            first.time,
            last.time,
        )
    return rows


async def rolled(store: Store, series_ids: list[int]) -> dict[tuple[int, datetime], Row]:
    rows = await store.connection.fetch(
        "select series_id, time, count, sum, min, max, first, last, first_at, last_at"
        " from tsobs.sample_5m where series_id = any ($1::bigint[])",
        series_ids,
    )
    found = {(row["series_id"], row["time"]): tuple(row)[2:] for row in rows}
    assert len(found) == len(rows)
    return found


def same(a: Row, b: Row) -> bool:
    """Equal, but for the order in which a sum was added up."""
    (n, total, *others), (m, other_total, *more) = a, b
    sums = math.isclose(total, other_total, rel_tol=1e-9, abs_tol=1e-3)
    return n == m and others == more and (sums or (math.isnan(total) and math.isnan(other_total)))


async def settle(store: Store, edition: str, url: str) -> None:
    """What the service or the database does by itself within minutes."""
    if edition == "apache":
        await maintain_once(url)
    else:
        await store.connection.execute(
            # as the policy does: what is still open stays open
            "call refresh_continuous_aggregate('tsobs_store.sample_5m', null,"
            " now() - interval '5 minutes')"
        )


@SETTINGS
@given(history=histories)
async def test_the_rollup_is_a_recount(
    store: Store,
    edition: str,
    database_url: str,
    history: list[tuple[dict[tuple[int, int], float], bool, bool]],
) -> None:
    number = next(examples)
    series_ids = await store.series(
        *({"__name__": "m", "example": str(number), "n": str(n)} for n in range(3))
    )
    held: dict[tuple[int, datetime], Sample] = {}
    for drawn, settles, compacts in history:
        # one sample a series and moment: of two, which is the first is anybody's guess
        new = [
            Sample(START + timedelta(milliseconds=ms), series_ids[n], value)
            for (n, ms), value in drawn.items()
        ]
        new = [one for one in new if (one.series_id, one.time) not in held]
        held |= {(one.series_id, one.time): one for one in new}
        if new:
            await store.copy(new)
        if settles:
            await settle(store, edition, database_url)
        if compacts and edition == "community":
            await store.connection.execute("call tsobs_store.compact_samples()")
    await settle(store, edition, database_url)
    found, wanted = await rolled(store, series_ids), recount(list(held.values()))
    assert found.keys() == wanted.keys()
    assert {
        key: (found[key], row) for key, row in wanted.items() if not same(found[key], row)
    } == {}


async def test_what_is_new_is_there_at_once(store: Store, edition: str, database_url: str) -> None:
    """The open bucket too, before and after the rest was rolled up."""
    [one] = await store.series({"__name__": "m"})
    now = datetime.now(UTC).replace(microsecond=0)
    early = [Sample(now - timedelta(seconds=s), one, float(s)) for s in range(0, 1800, 15)]
    await store.copy(early)
    assert await rolled(store, [one]) == recount(early)
    await settle(store, edition, database_url)
    late = [Sample(now + timedelta(seconds=s), one, float(s)) for s in range(1, 30, 5)]
    await store.copy(late)
    assert await rolled(store, [one]) == recount(early + late)


async def test_a_late_sample_counts_after_the_next_round(
    store: Store, edition: str, database_url: str
) -> None:
    a, b = await store.series({"__name__": "a"}, {"__name__": "b"})
    samples = [Sample(START + timedelta(seconds=s), a, 1.0) for s in range(0, 3000, 60)]
    await store.copy(samples)
    await settle(store, edition, database_url)
    late = [
        Sample(START + timedelta(seconds=601), a, 5.0),
        Sample(START + timedelta(seconds=1201), b, 7.0),
    ]
    await store.copy(late)
    await settle(store, edition, database_url)
    assert await rolled(store, [a, b]) == recount(samples + late)


async def test_the_rollup_outlives_the_raw_samples(
    store: Store, edition: str, database_url: str
) -> None:
    """And a sample that comes for what was dropped does not empty it."""
    [one] = await store.series({"__name__": "m"})
    samples = [Sample(START + timedelta(seconds=s), one, float(s)) for s in range(0, 1200, 60)]
    await store.copy(samples)
    await settle(store, edition, database_url)
    await set_retention(database_url, 2, "remote_write_retention_days")
    await maintain_once(database_url)
    if edition == "community":
        for proc in ("policy_retention", "policy_refresh_continuous_aggregate"):
            jobs = await store.connection.fetch(
                "select job_id from timescaledb_information.jobs where proc_name = $1", proc
            )
            for job in jobs:
                await store.connection.execute(f"call run_job({job['job_id']})")
    else:
        await store.copy([Sample(START + timedelta(seconds=30), one, 1.0)])
        await maintain_once(database_url)
        await maintain_once(database_url)
    raw = await store.connection.fetchval("select count(*) from tsobs_store.sample")
    assert raw == 0
    assert await rolled(store, [one]) == recount(samples)


@pytest.mark.community
async def test_the_policy_never_looks_further_back_than_raw_samples(
    store: Store, database_url: str
) -> None:
    for days in (30, 4):
        await set_retention(database_url, days, "remote_write_retention_days")
        await maintain_once(database_url)
        rows = await store.connection.fetch(
            "select extract(epoch from (config ->> 'start_offset')::interval) / 86400"
            " from timescaledb_information.jobs"
            " where proc_name = 'policy_refresh_continuous_aggregate'"
        )
        assert [float(row[0]) for row in rows] == [days]
