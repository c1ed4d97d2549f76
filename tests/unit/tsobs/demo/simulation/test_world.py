from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

import pytest

from ingest.batch import Batch, parse_batch
from ingest.rows import Window as Span
from ingest.rows import gather, refuse
from tsobs.columns import TABLES
from tsobs.demo.simulation.window import Window
from tsobs.demo.simulation.wire import encode_batch
from tsobs.demo.simulation.world import Step, World

BEGIN = 1_700_000_040
HOUR = 3600
STREAM = "0" * 32


def hours(world: World, count: int, step_s: int = 60) -> list[Step]:
    return [world.step(Window(world.at + HOUR, step_s, "history")) for _ in range(count)]


def parsed(step: Step) -> Iterator[Batch]:
    for batch in step.batches.values():
        text = gzip.decompress(encode_batch(STREAM, 1, batch))
        yield parse_batch(json.loads(text), text)


@pytest.fixture(scope="module")
def steps() -> list[Step]:
    """Three hours of the usual cluster, when it has filled."""
    world = World(20, 1, BEGIN)
    return hours(world, 3)


def test_the_service_takes_every_row(steps: list[Step]) -> None:
    batches = [batch for step in steps for batch in parsed(step)]
    assert len(batches) == 60
    assert not any(batch.ignored for batch in batches)
    for table in TABLES:
        rows = gather(table, batches)
        assert rows is not None
        assert len(rows.time) > 1_000
        good, refused = refuse(rows, Span(BEGIN, BEGIN + 3 * HOUR))
        assert good.all(), refused


def test_every_node_is_sampled_all_the_time(steps: list[Step]) -> None:
    for step in steps:
        assert len(step.batches) == 20
        for batch in step.batches.values():
            assert batch["tables"]["node_sample"]["interval_s"].sum() == HOUR
            gpus = len(batch["gpus"]["uuid"])
            if gpus:
                assert batch["tables"]["gpu_sample"]["interval_s"].sum() == gpus * HOUR


def test_a_job_is_sampled_from_its_start_to_its_end(steps: list[Step]) -> None:
    sampled_s: Counter[str] = Counter()
    gone: Counter[str] = Counter()
    for step in steps:
        for batch in step.batches.values():
            jobs = batch["jobs"]
            for job, ended in zip(jobs["job_id"], jobs["gone_at"], strict=True):
                gone[job] += ended is not None
            rows = batch["tables"].get("job_sample", {"job": [], "interval_s": []})
            for index, length_s in zip(rows["job"], rows["interval_s"], strict=True):
                sampled_s[jobs["job_id"][int(index)]] += int(length_s)
    started = {body["job_id"]: body for step in steps for body in step.started}
    finished = {body["job_id"]: body for step in steps for body in step.finished}
    assert set(sampled_s) == set(started)
    assert len(finished) > 30
    for job, body in started.items():
        nodes = len(body["node_list"])
        assert gone[job] == (nodes if job in finished else 0)
        if job in finished:
            start, end = map(
                datetime.fromisoformat, (body["start_time"], finished[job]["end_time"])
            )
            assert sampled_s[job] == (end - start).total_seconds() * nodes


def test_who_ran_out_of_memory_says_so() -> None:
    step_list = hours(World(20, 1, BEGIN), 6)
    finished = {b["job_id"]: b["raw_state"] for s in step_list for b in s.finished}
    killed = {
        job
        for step in step_list
        for batch in step.batches.values()
        for job, oom in zip(batch["jobs"]["job_id"], batch["jobs"]["oom_killed"], strict=True)
        if oom
    }
    assert killed
    assert killed == {job for job, state in finished.items() if state == "OUT_OF_MEMORY"}


def test_the_same_world_sends_the_same_bytes_also_after_it_was_stored() -> None:
    first = World(5, 3, BEGIN)
    hours(first, 2)
    second = World.from_json(json.loads(json.dumps(first.to_json())))
    assert second.at == first.at
    window = Window(first.at + 15, 15, "live")
    assert [encode_batch(STREAM, 1, batch) for batch in first.step(window).batches.values()] == [
        encode_batch(STREAM, 1, batch) for batch in second.step(window).batches.values()
    ]


def test_after_a_power_cut_there_are_last_words_and_no_samples() -> None:
    world = World(20, 1, BEGIN)
    hours(world, 1)
    running = {str(run.job.job_id) for run in world.running}
    step = world.step(Window(BEGIN + 48 * HOUR, 60, "cut"))
    assert {body["job_id"] for body in step.finished} == running
    assert {body["raw_state"] for body in step.finished} == {"NODE_FAIL"}
    said = {job for batch in step.batches.values() for job in batch["jobs"]["job_id"]}
    assert said == running
    assert all(not batch["tables"] for batch in step.batches.values())
    for batch in parsed(step):
        assert {job.gone_at for job in batch.jobs} <= {BEGIN + HOUR}
    assert not world.running
    assert hours(world, 1)[0].started
