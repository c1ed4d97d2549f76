"""Memory of the node."""

from __future__ import annotations

from nodeagent.collectors.node_memory import COLLECTOR, parse_meminfo
from tests.unit.nodeagent.conftest import Machine


def test_kib_become_bytes_and_what_is_absent_stays_absent() -> None:
    assert parse_meminfo("MemTotal:  2 kB\nCached: 1 kB\nHugePages_Total: 5\n") == {
        "memory_total_bytes": 2048,
        "memory_cached_bytes": 1024,
    }


def test_a_recorded_node(machine: Machine) -> None:
    machine.replay("v2-batch-t0")
    gauges = COLLECTOR.read(machine.paths).gauges
    assert gauges["memory_total_bytes"] == 3_123_859_456
    assert gauges["swap_total_bytes"] == 0
    assert len(gauges) == 7
