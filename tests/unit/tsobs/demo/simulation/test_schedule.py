from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from tsobs.demo.simulation.cluster import Node, make_nodes
from tsobs.demo.simulation.job import Run
from tsobs.demo.simulation.schedule import Schedule

BEGIN = 1_700_000_040
HOUR = 3600
NODES = make_nodes(20)


def runs_of(schedule: Schedule, steps: Sequence[int]) -> tuple[list[Run], list[Run]]:
    started: list[Run] = []
    ended: list[Run] = []
    for until in steps:
        passed = schedule.advance(until)
        started += passed.started
        ended += passed.ended
    return started, ended


@pytest.fixture(scope="module")
def day() -> tuple[list[Run], list[Run]]:
    return runs_of(Schedule(NODES, 1, BEGIN), [BEGIN + 24 * HOUR])


def check_room(runs: Sequence[Run], nodes: Sequence[Node]) -> None:
    """Nowhere, at no time, more is taken than there is."""
    for moment in sorted({run.start_at for run in runs}):
        there = [run for run in runs if run.start_at <= moment < run.end_at]
        for n, node in enumerate(nodes):
            held = [(run.job, place) for run in there for place in run.places if place.node == n]
            gpus = [gpu for _, place in held for gpu in place.gpus]
            assert sum(job.cpus for job, _ in held) <= node.cpus
            assert sum(job.memory_bytes for job, _ in held) <= node.memory_bytes
            assert len(gpus) == len(set(gpus))
            assert all(gpu < len(node.gpus) for gpu in gpus)


def test_nothing_is_given_away_twice(day: tuple[list[Run], list[Run]]) -> None:
    check_room(day[0], NODES)


def test_a_day_has_every_ending(day: tuple[list[Run], list[Run]]) -> None:
    started, ended = day
    fates = {run.job.fate for run in ended}
    assert fates == {"completed", "failed", "out_of_memory", "timeout", "cancelled"}
    assert 500 < len(started) < 1500
    assert any(not run.job.kind.gpu_ratio for run in ended if run.job.gpus)
    assert any(len(run.places) > 1 for run in ended)
    assert len({run.job.job_id for run in started}) == len(started)


def test_a_job_gets_what_it_asked_for(day: tuple[list[Run], list[Run]]) -> None:
    for run in day[0]:
        assert len({place.node for place in run.places}) == run.job.nodes
        assert all(len(place.gpus) == run.job.gpus for place in run.places)
        assert all(NODES[p.node].partition == run.job.kind.partition for p in run.places)
        assert run.start_at >= run.job.submit_at


def test_it_does_not_matter_in_which_steps_time_passes(day: tuple[list[Run], list[Run]]) -> None:
    steps = [BEGIN + n * 977 for n in range(1, 88)] + [BEGIN + 24 * HOUR]
    assert runs_of(Schedule(NODES, 1, BEGIN), steps) == day


def test_a_stored_schedule_goes_on_the_same(day: tuple[list[Run], list[Run]]) -> None:
    first = Schedule(NODES, 1, BEGIN)
    begun = runs_of(first, [BEGIN + 9 * HOUR + 11])
    stored = json.loads(json.dumps(first.to_json()))
    rest = runs_of(Schedule.from_json(NODES, 1, stored), [BEGIN + 24 * HOUR])
    assert (begun[0] + rest[0], begun[1] + rest[1]) == day


def test_what_is_present_had_a_part_of_the_span() -> None:
    schedule = Schedule(NODES, 1, BEGIN)
    schedule.advance(BEGIN + HOUR)
    before = list(schedule.running)
    passed = schedule.advance(BEGIN + 2 * HOUR)
    assert passed.present == [*before, *passed.started]
    assert set(passed.ended) <= set(passed.present)
    assert {run for run in passed.present if run.end_at > BEGIN + 2 * HOUR} == set(schedule.running)


def test_a_power_cut_ends_everything_and_life_comes_back() -> None:
    schedule = Schedule(NODES, 1, BEGIN)
    schedule.advance(BEGIN + HOUR)
    running = list(schedule.running)
    passed = schedule.power_cut(BEGIN + 30 * HOUR)
    assert len(passed.ended) == len(running) > 0
    assert all(run.job.fate == "node_fail" for run in passed.ended)
    assert all(run.end_at == BEGIN + HOUR for run in passed.ended)
    assert not passed.started
    later = schedule.advance(BEGIN + 32 * HOUR)
    assert len(later.started) > 20
    assert all(run.start_at >= BEGIN + 30 * HOUR for run in later.started)
    known = {run.job.job_id for run in running}
    assert not known & {run.job.job_id for run in later.started}


@pytest.mark.parametrize("count", [1, 3, 7])
def test_a_small_cluster_lives_too(count: int) -> None:
    nodes = make_nodes(count)
    started, _ = runs_of(Schedule(nodes, 2, BEGIN), [BEGIN + 6 * HOUR])
    assert started
    check_room(started, nodes)
