"""The node's own sample."""

from __future__ import annotations

from nodeagent.collector import Frame
from nodeagent.node_readings import NodeReadings
from tests.unit.nodeagent.conftest import Machine, StillClock


def test_first_gauges_then_deltas_too(machine: Machine, clock: StillClock) -> None:
    node = NodeReadings(machine.replay("v2-batch-t0").paths, Frame())
    row, base = node.read(clock.at, 1000.0)
    assert row is not None
    assert (row["time"], row["interval_s"], row["cpus"]) == (1000.0, 1.0, 2)
    assert "cpu_user_s" not in row
    node.rebase(base)
    machine.replay("v2-batch-t1")
    row, _ = node.read(clock.go(11.5), 1015.0)
    assert row is not None
    assert row["interval_s"] == 11.5
    assert row["cpu_user_s"] > 9
    assert row["disk_write_bytes"] > 2**20
    assert (node.cpus, node.memory_bytes) == (2, 3_123_859_456)


def test_it_is_taken_up_in_the_same_boot(machine: Machine, clock: StillClock) -> None:
    node = NodeReadings(machine.replay("v2-batch-t0").paths, Frame())
    _, base = node.read(clock.at, 1000.0)
    again = NodeReadings(machine.paths, Frame())
    again.restore(NodeReadings.to_json(base))
    row, _ = again.read(clock.go(15), 1015.0)
    assert row is not None
    assert row["cpu_user_s"] == 0.0


def test_nothing_to_read_is_no_row(machine: Machine, clock: StillClock) -> None:
    names = ["cpu", "memory", "load", "network", "disk", "pressure"]
    node = NodeReadings(machine.paths, Frame([f"node_{name}" for name in names]))
    row, base = node.read(clock.at, 1000.0)
    assert row is None
    assert base is node.base
