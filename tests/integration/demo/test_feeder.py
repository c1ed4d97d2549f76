from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tsobs.demo.client import Client
from tsobs.demo.feeder import Feeder
from tsobs.demo.part import PartFailed
from tsobs.demo.progress import Progress
from tsobs.demo.simulation.world import World

HOUR = 3600
NODES = 5
LONGEST_GAP_S = 6 * HOUR
QUIET = Progress(lambda _line: None)
COUNTS = """
    select n.name, count(*) as rows, sum(s.interval_s) as covered_s, max(s.time) as last
    from tsobs_store.node_sample s join tsobs_store.node n using (node_id)
    group by n.name order by n.name
"""
TOTALS = """
    select jn.job_key, jn.sample_count, jn.known_s, jn.cpu_user_s, jn.energy_j,
        s.rows, s.covered_s, s.cpu_s, s.joules
    from tsobs_store.job_node jn
    join (
        select job_key, node_id, count(*) as rows, sum(interval_s) as covered_s,
            sum(cpu_user_s) as cpu_s, sum(energy_j) as joules
        from tsobs_store.job_sample group by job_key, node_id
    ) s using (job_key, node_id)
"""


class Clock:
    """A wall clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = time.time() // 60 * 60 - 3 * HOUR

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Three hours ago."""
    return Clock()


@pytest.fixture
def note(tmp_path: Path) -> Path:
    """Where the simulation's state is kept."""
    return tmp_path / "simulation.json"


def feeder_for(
    world: World, client: Client, note: Path, clock: Clock, lines: list[str] | None = None
) -> Feeder:
    said: list[str] = [] if lines is None else lines
    return Feeder(
        world, client, note, Progress(said.append), longest_gap_s=LONGEST_GAP_S, clock=clock
    )


def restored(
    stored: dict[str, Any], client: Client, note: Path, clock: Clock, lines: list[str] | None = None
) -> Feeder:
    feeder = feeder_for(World.from_json(stored["world"]), client, note, clock, lines)
    feeder.restore(stored)
    return feeder


def kept(note: Path) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(note.read_text())
    return stored


async def rows(database_url: str, sql: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(database_url)
    try:
        return list(await connection.fetch(sql))
    finally:
        await connection.close()


async def check_once(database_url: str, span_s: float) -> None:
    """Every second of every node is there once, and totals are the sums of what is stored."""
    counts = await rows(database_url, COUNTS)
    assert [row["covered_s"] for row in counts] == [span_s] * NODES
    totals = await rows(database_url, TOTALS)
    assert totals
    for row in totals:
        assert row["sample_count"] == row["rows"]
        assert row["known_s"] == row["covered_s"]
        assert row["cpu_user_s"] == pytest.approx(row["cpu_s"])
        assert row["energy_j"] == pytest.approx(row["joules"])


async def test_history_then_life_and_every_job_is_told_of(
    client: Client, database_url: str, note: Path, clock: Clock
) -> None:
    feeder = feeder_for(World(NODES, 1, int(clock.now) - 2 * HOUR), client, note, clock)
    await feeder.catch_up()
    await check_once(database_url, 2 * HOUR)
    clock.now += 47
    await feeder.catch_up()
    await check_once(database_url, 2 * HOUR + 45)
    running = await client.get("/v1/jobs?state=running&limit=1000")
    assert {job["id"] for job in running["jobs"]} == {
        str(run.job.job_id) for run in feeder.world.running
    }
    everything = await client.get("/v1/jobs?limit=1000")
    for job in everything["jobs"]:
        assert job["cluster"] == "simulated"
        assert job["scheduler"]["type"] == "mock"
        if job["state"] != "running":
            assert job["coverage"] == pytest.approx(1) if "coverage" in job else True
            assert job["sample_count"] > 0


async def test_after_a_kill_the_same_window_is_stored_once(
    client: Client, database_url: str, note: Path, clock: Clock
) -> None:
    notes: list[dict[str, Any]] = []

    class Watched(Feeder):
        def _write_note(self) -> None:
            super()._write_note()
            notes.append(kept(note))

    world = World(NODES, 1, int(clock.now) - 2 * HOUR)
    first = Watched(world, client, note, QUIET, longest_gap_s=LONGEST_GAP_S, clock=clock)
    await first.catch_up()
    # The kill came after all of the second window was sent and before that was written.
    second = [stored for stored in notes if stored["pending"]][1]
    assert second["seq"] == 1
    await restored(second, client, note, clock).catch_up()
    await check_once(database_url, 2 * HOUR)


async def test_after_a_kill_what_is_missing_of_a_window_comes(
    client: Client, database_url: str, note: Path, clock: Clock
) -> None:
    class Dying(Feeder):
        sent = 0

        async def _post_batch(self, node: str, body: bytes) -> None:
            if self.sent == NODES // 2:
                raise PartFailed("killed")
            self.sent += 1
            await super()._post_batch(node, body)

    world = World(NODES, 1, int(clock.now) - HOUR)
    dying = Dying(world, client, note, QUIET, longest_gap_s=LONGEST_GAP_S, clock=clock)
    with pytest.raises(PartFailed, match="killed"):
        await dying.catch_up()
    assert len(await rows(database_url, COUNTS)) < NODES
    await restored(kept(note), client, note, clock).catch_up()
    await check_once(database_url, HOUR)


async def test_a_stop_lets_the_window_that_was_begun_finish(
    client: Client, database_url: str, note: Path, clock: Clock
) -> None:
    feeder = feeder_for(World(NODES, 1, int(clock.now) - 5 * HOUR), client, note, clock)
    sending = asyncio.create_task(feeder.catch_up())
    await asyncio.sleep(0.5)
    sending.cancel()
    await asyncio.wait([sending])
    assert sending.cancelled()
    assert kept(note)["pending"] is None
    assert kept(note)["seq"] > 0
    await restored(kept(note), client, note, clock).catch_up()
    await check_once(database_url, 5 * HOUR)


async def test_too_long_a_pause_is_a_power_cut(
    client: Client, database_url: str, note: Path, clock: Clock
) -> None:
    clock.now -= 30 * HOUR
    await feeder_for(World(NODES, 1, int(clock.now) - HOUR), client, note, clock).catch_up()
    clock.now += 30 * HOUR
    stored = kept(note)
    lines: list[str] = []
    feeder = restored(stored, client, note, clock, lines)
    await feeder.catch_up()
    assert any("without power" in line for line in lines)
    await check_once(database_url, HOUR + LONGEST_GAP_S)
    failed = await client.get("/v1/jobs?state=failed&limit=1000")
    lost = [job for job in failed["jobs"] if job.get("state_reason") == "node_fail"]
    assert lost
    running = await client.get("/v1/jobs?state=running&limit=1000")
    assert {job["id"] for job in running["jobs"]} == {
        str(run.job.job_id) for run in feeder.world.running
    }


async def test_numbers_that_were_used_for_something_else_are_given_up(
    client: Client, database_url: str, note: Path, clock: Clock
) -> None:
    feeder = feeder_for(World(NODES, 1, int(clock.now) - HOUR), client, note, clock)
    await feeder.catch_up()
    stored = kept(note)
    # A note from before that window, and another version that simulates it otherwise.
    other = World(NODES, 2, int(clock.now) - HOUR)
    again = feeder_for(other, client, note, clock)
    again.restore({**stored, "seq": 0, "pending": None})
    before = dict(again._streams)
    await again.catch_up()
    assert all(again._streams[node] != stream for node, stream in before.items())
    await check_once(database_url, HOUR)
    clock.now += 60
    await again.catch_up()
    await check_once(database_url, HOUR + 60)


async def test_refused_rows_are_not_kept_quiet(client: Client, note: Path, clock: Clock) -> None:
    lines: list[str] = []
    clock.now -= 30 * 24 * HOUR
    await feeder_for(World(NODES, 1, int(clock.now) - 60), client, note, clock, lines).catch_up()
    assert any("left out" in line and "too_old" in line for line in lines)


async def test_it_lives_in_real_time(client: Client, database_url: str, note: Path) -> None:
    world = World(NODES, 1, int(time.time()) // 60 * 60)
    feeder = Feeder(world, client, note, QUIET, longest_gap_s=LONGEST_GAP_S)
    await feeder.catch_up()
    begun = world.at
    living = asyncio.create_task(feeder.ended())
    await asyncio.sleep(17)
    living.cancel()
    await asyncio.wait([living])
    assert world.at > begun
    counts = await rows(database_url, COUNTS)
    assert all(row["last"].timestamp() % 15 == 0 for row in counts)
    assert all(time.time() - row["last"].timestamp() < 20 for row in counts)
