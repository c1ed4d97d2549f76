"""Network of the node: each byte once."""

from __future__ import annotations

import pytest

from nodeagent.collector import NoData
from nodeagent.collectors.node_network import COLLECTOR, parse_net_dev
from tests.unit.nodeagent.conftest import Machine

HEAD = "Inter-| Receive | Transmit\n face |bytes packets errs |bytes\n"


def line(name: str, received: int) -> str:
    return f"{name}: {received} 2 3 0 0 0 0 0 {received * 10} 20 30 0 0 0 0 0\n"


def test_columns() -> None:
    assert parse_net_dev(HEAD + line("  eth0", 1)) == {
        "eth0": {
            "network_receive_bytes": 1,
            "network_receive_packets": 2,
            "network_receive_errors": 3,
            "network_transmit_bytes": 10,
            "network_transmit_packets": 20,
            "network_transmit_errors": 30,
        }
    }


def test_interfaces_with_a_device_count_and_those_on_top_of_them_do_not(machine: Machine) -> None:
    names = ("lo", "eth0", "ib0", "bond0", "br-1", "eth0.7")
    machine.write("proc/net/dev", HEAD + "".join(line(name, 1) for name in names))
    for name in ("eth0", "ib0"):
        machine.write(f"sys/class/net/{name}/device/vendor", "")
    counters = COLLECTOR.read(machine.paths).counters
    assert {key.partition("|")[2] for key in counters} == {"eth0", "ib0"}


def test_without_devices_the_names_tell(machine: Machine) -> None:
    names = ("lo", "eth0", "bond0", "br-1", "eth0.7", "veth1", "docker0", "ens3f1np1")
    machine.write("proc/net/dev", HEAD + "".join(line(name, 1) for name in names))
    counters = COLLECTOR.read(machine.paths).counters
    assert {key.partition("|")[2] for key in counters} == {"eth0", "ens3f1np1"}


def test_only_loopback(machine: Machine) -> None:
    machine.write("proc/net/dev", HEAD + line("lo", 1))
    with pytest.raises(NoData):
        COLLECTOR.read(machine.paths)


def test_a_recorded_node(machine: Machine) -> None:
    machine.replay("v2-batch-t0")
    assert COLLECTOR.read(machine.paths).counters["node:network_receive_bytes|eth0"] == 110
