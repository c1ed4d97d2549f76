"""Waiting time of the node."""

from __future__ import annotations

import pytest

from nodeagent.collector import NoData
from nodeagent.collectors.node_pressure import COLLECTOR
from tests.unit.nodeagent.conftest import Machine

LINE = "{} avg10=0.00 avg60=0.00 avg300=0.00 total={}\n"


def test_the_kinds_that_mean_something(machine: Machine) -> None:
    text = LINE.format("some", 5) + LINE.format("full", 3)
    for subject in ("cpu", "memory"):
        machine.write(f"proc/pressure/{subject}", text)
    assert COLLECTOR.read(machine.paths).counters == {
        "node:cpu_pressure_some_s": 5_000,
        "node:memory_pressure_some_s": 5_000,
        "node:memory_pressure_full_s": 3_000,
    }


def test_no_psi(machine: Machine) -> None:
    with pytest.raises(NoData):
        COLLECTOR.read(machine.paths)
