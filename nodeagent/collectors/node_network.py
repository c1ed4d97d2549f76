"""Network traffic of the node through its hardware interfaces."""

from __future__ import annotations

import re

from nodeagent.collector import NoData, NodeCollector, Values
from nodeagent.counters import counter_key
from nodeagent.paths import Paths

__all__ = ["COLLECTOR", "parse_net_dev"]

# Position in a line of /proc/net/dev, after the name.
_FIELDS = {
    "network_receive_bytes": 0,
    "network_receive_packets": 1,
    "network_receive_errors": 2,
    "network_transmit_bytes": 8,
    "network_transmit_packets": 9,
    "network_transmit_errors": 10,
}
# What passes a bridge, bond, VLAN, tunnel or container interface passes a hardware one too.
_VIRTUAL = re.compile(
    r"(?:lo$|bond|br-|virbr|docker|cni|cali|flannel|veth|vnet|tun|tap|wg|ifb|dummy|team|vxlan|kube|lxc|macv|sit|gre)"
    r"|.*[.:@]"
)


def parse_net_dev(text: str) -> dict[str, dict[str, int]]:
    """Return interface → column → count of /proc/net/dev."""
    interfaces = {}
    for line in text.splitlines():
        name, colon, rest = line.rpartition(":")
        if colon and "|" not in line:
            fields = rest.split()
            interfaces[name.strip()] = {column: int(fields[at]) for column, at in _FIELDS.items()}
    return interfaces


def _read(paths: Paths) -> Values:
    # Of this process's network namespace; /proc/net is a link to it, which a recorded tree has as a
    # folder.
    interfaces = parse_net_dev(paths.read_proc("net/dev"))
    chosen = [name for name in interfaces if (paths.sys / "class/net" / name / "device").exists()]
    if not chosen:
        chosen = [name for name in interfaces if not _VIRTUAL.match(name)]
    if not chosen:
        raise NoData("no interface but virtual ones")
    counters = {
        counter_key("node", column, name): value
        for name in chosen
        for column, value in interfaces[name].items()
    }
    return Values(counters, {})


COLLECTOR = NodeCollector("node_network", "traffic of hardware interfaces (/proc/net/dev)", _read)
