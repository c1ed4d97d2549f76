"""Whatever is told of an id's runs, in any order, leaves the rows of these runs.

A *life* is three or four runs of one id on three nodes: requeues within seconds or minutes, and the
id used again days later with restart_count 0 again. Senders know what they really know (lives.py):
prologs the restart_count and a start by Slurm's clock or their own; epilogs the end, mostly the
start, and of the restart_count only that it is the run's or the next; agents the birth of the
cgroup, later than the start, or nothing but the time of a row.

All told, in any order, repeated and late: the same rows field by field, and the true ones.

With losses, always:
- the same rows for whatever order of what was heard;
- each field says what one of the row's own tellings said, and none is silent that one spoke of;
- no row has tellings of two restart_counts, nor hooks' starts that are an hour apart; none ends
  before it begins; its restart_count is one that was told of it.
And as long as one hook's start of each run that is spoken of was heard: no row mixes two runs, and
no run has two rows. Without, nobody can tell an agent that knows no restart_count, or one of an id
used again, from one more node of the run before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.observation import columns_of
from tests.integration.sql.lives import NODES, READINGS, Life, Telling, lives
from tests.integration.sql.observing import Connection
from tsobs.sqlfiles import query

NUMBERS = count(1)
# What tells of the observing alone.
PASSING = ("job_key", "job_id", "created_at", "updated_at", "hulls")
Rows = Mapping[tuple[int | None, int], Mapping[str, Any]]


async def tell(connection: Connection, job_id: str, tellings: Sequence[Telling]) -> list[int]:
    """Tells all in this order; returns the row of each, as answered at the time."""
    keys = []
    for telling in tellings:
        told = telling.observation._replace(job_id=job_id)
        [answer] = await connection.fetch(query("observe_jobs"), *columns_of([told]))
        keys.append(answer["job_key"])
    return keys


async def rows_of(connection: Connection, job_id: str) -> Rows:
    """The runs of an id by restart_count and number."""
    found = await connection.fetch("select * from tsobs_store.job where job_id = $1", job_id)
    return {
        (row["restart_count"], row["run"]): {k: v for k, v in row.items() if k not in PASSING}
        for row in found
    }


async def told_rows(
    connection: Connection, tellings: Sequence[Telling]
) -> tuple[Rows, Mapping[int, list[Telling]]]:
    """The rows that this order leaves, and by row what is told of it in the end. Telling all again
    changes nothing."""
    job_id = f"life-{next(NUMBERS)}"
    await tell(connection, job_id, tellings)
    rows = await rows_of(connection, job_id)
    keys = defaultdict(list)
    for telling, key in zip(tellings, await tell(connection, job_id, tellings), strict=True):
        keys[key].append(telling)
    assert await rows_of(connection, job_id) == rows
    return rows, keys


def shuffled(source: Any, tellings: Sequence[Telling]) -> list[Telling]:
    """Another order, with some told twice."""
    order = [*tellings, *(one for one in tellings if source.random() < 0.2)]
    source.shuffle(order)
    return order


READING = st.sampled_from(sorted(READINGS))
SEED = st.integers(0, 2**32)
RANDOM = st.randoms(use_true_random=False)
SETTINGS = settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
LONG = settings(SETTINGS, max_examples=300)


def check_truth(life: Life, rows: Rows) -> None:
    """What the rows must say when all was told."""
    assert set(rows) == {(run.restart_count, run.number) for run in life.runs}
    for run in life.runs:
        row = rows[run.restart_count, run.number]
        assert row["start_at"].timestamp() == pytest.approx(run.start, abs=0.01)
        assert row["end_at"].timestamp() == pytest.approx(run.end, abs=0.01)
        assert row["name"] == f"run of {run.start}"
        assert set(row["nodes"]) == set(NODES)
        expected = {
            "completed": ("completed", None),
            "failed": ("failed", "exit_code"),
            "cancelled": ("cancelled", None),
            "timeout": ("failed", "timeout"),
            "requeued": ("cancelled", "requeued"),
        }[run.fate]
        assert (row["state"], row["state_reason"]) == expected


async def any_order(connection: Connection, reading: str, seed: int, source: Any) -> None:
    life = lives(reading, seed, "7")
    rows, _ = await told_rows(connection, life.tellings)
    check_truth(life, rows)
    for _ in range(2):
        again, _ = await told_rows(connection, shuffled(source, life.tellings))
        assert again == rows


@SETTINGS
@given(READING, SEED, RANDOM)
async def test_any_order_repetition_and_delay_leaves_the_same_rows(
    connection: Connection, reading: str, seed: int, source: Any
) -> None:
    await any_order(connection, reading, seed, source)


@pytest.mark.long
@pytest.mark.timeout(3600)
@LONG
@given(READING, SEED, RANDOM)
async def test_any_order_of_many(
    connection: Connection, reading: str, seed: int, source: Any
) -> None:
    await any_order(connection, reading, seed, source)


def check_partition(heard: Sequence[Telling], keys: Mapping[int, list[Telling]]) -> None:
    """No row is of two runs and no run has two rows, as long as one start of each run was heard."""
    for told in keys.values():
        counts = {one.observation.restart_count for one in told} - {None}
        assert len(counts) <= 1, told
        starts = [one.observation.at for one in told if one.is_start]
        assert not starts or (max(starts) - min(starts)).total_seconds() < 3600
    spoken_of = {one.place for one in heard}
    if spoken_of <= {one.place for one in heard if one.is_start}:
        assert all(len({one.place for one in told}) == 1 for told in keys.values())
        assert len(keys) == len(spoken_of)


def check_words(row: Mapping[str, Any], told: Sequence[Telling]) -> None:
    """A row says nothing that nobody told of it, and does not end before it begins."""
    for field in ("start_at", "end_at", "exit_code", "signal", "name", "oom_killed", "user_name"):
        words = {one.observation.facts.get(field) for one in told}
        words = {datetime.fromisoformat(w) if field.endswith("_at") and isinstance(w, str) else w
                 for w in words}  # fmt: skip
        assert row[field] in words | {None}, field
        assert row[field] is not None or words <= {None}, field
    if row["start_at"] and row["end_at"]:
        assert row["end_at"] >= row["start_at"] - timedelta(seconds=5)
    assert row["restart_count"] in {one.observation.restart_count for one in told} | {None}


async def losses(
    connection: Connection, reading: str, seed: int, source: Any, share: float = 0.3
) -> None:
    life = lives(reading, seed, "7")
    heard = [one for one in life.tellings if source.random() >= share]
    rows, keys = await told_rows(connection, heard)
    again, _ = await told_rows(connection, shuffled(source, heard))
    assert again == rows
    check_partition(heard, keys)
    for key, told in keys.items():
        row = await connection.fetchrow("select * from tsobs_store.job where job_key = $1", key)
        assert row is not None
        check_words(dict(row), told)


@SETTINGS
@given(READING, SEED, RANDOM)
async def test_losses_never_make_a_contradiction(
    connection: Connection, reading: str, seed: int, source: Any
) -> None:
    await losses(connection, reading, seed, source)


@pytest.mark.long
@pytest.mark.timeout(3600)
@LONG
@given(READING, SEED, RANDOM, st.sampled_from([0.3, 0.5, 0.7]))
async def test_many_losses(
    connection: Connection, reading: str, seed: int, source: Any, share: float
) -> None:
    await losses(connection, reading, seed, source, share)
