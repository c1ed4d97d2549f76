from __future__ import annotations

import pytest

from ingest.lifecycle import read_finished, read_started
from tests.unit.tsobs.demo.simulation.making import START, make_run
from tsobs.demo.simulation.cluster import CLUSTER, GIB, make_nodes
from tsobs.demo.simulation.events import finished_event, started_event
from tsobs.demo.simulation.kinds import Fate

NODES = make_nodes(20)
CONTROLLER = 4


def test_the_service_understands_a_start() -> None:
    body = started_event(make_run("train-llm", nodes=2, gpus=4, first_node=16), NODES)
    told = read_started(body)
    assert told.rank == told.state_rank == CONTROLLER
    assert told.values["cluster"] == CLUSTER
    assert told.facts["nodes"] == ["sim-gpu-01", "sim-gpu-02"]
    assert told.facts["allocated_cpus"] == 16
    assert told.facts["allocated_memory_bytes"] == 32 * GIB
    assert told.facts["allocated_gpus"] == len(told.facts["gpu_devices"]) == 8
    assert told.facts["start_at"].timestamp() == START
    assert told.facts["submit_at"].timestamp() == START - 10
    assert told.facts["time_limit_s"] == 7200


@pytest.mark.parametrize(
    ("fate", "state", "reason"),
    [
        ("completed", "completed", None),
        ("failed", "failed", None),
        ("out_of_memory", "failed", "out_of_memory"),
        ("timeout", "failed", "timeout"),
        ("cancelled", "cancelled", None),
        ("node_fail", "failed", "node_fail"),
    ],
)
def test_the_service_understands_every_ending(fate: Fate, state: str, reason: str | None) -> None:
    told = read_finished(finished_event(make_run(fate=fate)))
    assert told.state_rank == CONTROLLER
    assert told.facts["state"] == state
    assert told.facts.get("state_reason") == reason
    assert told.facts["end_at"].timestamp() == START + 1800


def test_no_real_scheduler_is_said_to_be_behind_it() -> None:
    assert started_event(make_run(), NODES)["scheduler"] == "mock"
    assert finished_event(make_run())["scheduler"] == "mock"
    assert "gpu_devices" not in started_event(make_run(), NODES)
