"""Load of the node."""

from __future__ import annotations

from nodeagent.collectors.node_load import COLLECTOR, parse_loadavg
from tests.unit.nodeagent.conftest import Machine


def test_three_averages() -> None:
    assert parse_loadavg("0.34 0.08 0.03 2/90 551\n") == {
        "load1": 0.34,
        "load5": 0.08,
        "load15": 0.03,
    }


def test_a_recorded_node(machine: Machine) -> None:
    machine.replay("v2-batch-t0")
    gauges = COLLECTOR.read(machine.paths).gauges
    assert gauges["processes"] == 5
    assert gauges["processes_running"] == 2
