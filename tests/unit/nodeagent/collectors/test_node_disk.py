"""Disks of the node: each byte once."""

from __future__ import annotations

import pytest

from nodeagent.collector import NoData
from nodeagent.collectors.node_disk import COLLECTOR, parse_diskstats
from tests.unit.nodeagent.conftest import Machine


def test_sectors_become_bytes() -> None:
    text = " 8 0 sda 747 377 10 336 151 433 20 69 0 356 427 0 0 0 0 90 21\n 8 1 short\n"
    assert parse_diskstats(text) == {"sda": (5120, 10240)}


def test_a_recorded_node(machine: Machine) -> None:
    machine.replay("v2-batch-t0")
    counters = COLLECTOR.read(machine.paths).counters
    assert counters["node:disk_read_bytes|vda"] == 76_698 * 512
    assert {key.partition("|")[2] for key in counters} == {"vda", "vdb", "vdc"}


def test_partitions_and_stacked_devices_do_not_count(machine: Machine) -> None:
    row = "8 0 {} 1 1 1 1 1 1 1 1 0 1 1\n"
    machine.write("proc/diskstats", "".join(row.format(name) for name in ("sda", "sda1", "dm-0")))
    machine.write("sys/block/sda/device/model", "")
    machine.write("sys/block/dm-0/dm/name", "")
    counters = COLLECTOR.read(machine.paths).counters
    assert {key.partition("|")[2] for key in counters} == {"sda"}


def test_no_disk(machine: Machine) -> None:
    machine.write("proc/diskstats", "")
    with pytest.raises(NoData):
        COLLECTOR.read(machine.paths)
