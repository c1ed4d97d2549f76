"""CPU time of the node."""

from __future__ import annotations

import pytest

from nodeagent.collector import NoData
from nodeagent.collectors.node_cpu import COLLECTOR, parse_stat
from tests.unit.nodeagent.conftest import Machine


def test_modes_and_cpus() -> None:
    text = "cpu  1534 10 1164 3270 15 1 23 2 34 4\ncpu0 1 1\ncpu1 2 2\nctxt 5\ncpu9 1\n"
    columns, cpus = parse_stat(text)
    assert cpus == 2
    assert columns == {
        "cpu_user_s": 15_000_000_000,  # without 0.34 s of guests
        "cpu_nice_s": 60_000_000,
        "cpu_system_s": 11_640_000_000,
        "cpu_idle_s": 32_700_000_000,
        "cpu_iowait_s": 150_000_000,
        "cpu_irq_s": 10_000_000,
        "cpu_softirq_s": 230_000_000,
        "cpu_steal_s": 20_000_000,
    }


def test_a_recorded_node(machine: Machine) -> None:
    machine.replay("v2-batch-t0")
    values = COLLECTOR.read(machine.paths)
    assert values.gauges == {"cpus": 2}
    assert values.counters["node:cpu_user_s"] == 15_340_000_000


def test_no_cpu_line(machine: Machine) -> None:
    machine.write("proc/stat", "btime 5\n")
    with pytest.raises(NoData):
        COLLECTOR.read(machine.paths)
