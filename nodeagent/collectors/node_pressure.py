"""Time in which the node's tasks waited for CPU, memory or I/O (PSI)."""

from __future__ import annotations

from nodeagent.collector import NoData, NodeCollector, Values
from nodeagent.counters import counter_key
from nodeagent.kernel_text import parse_pressure
from nodeagent.paths import Paths

__all__ = ["COLLECTOR"]

# For the whole machine the kernel gives no meaning to "all wait for a CPU".
_KINDS = {"cpu": ("some",), "memory": ("some", "full"), "io": ("some", "full")}


def _read(paths: Paths) -> Values:
    counters = {}
    for subject, kinds in _KINDS.items():
        try:
            totals = parse_pressure(paths.read_proc(f"pressure/{subject}"))
        except OSError:
            # Absent without CONFIG_PSI; EOPNOTSUPP when it is built in but switched off.
            continue
        for kind in kinds:
            if kind in totals:
                counters[counter_key("node", f"{subject}_pressure_{kind}_s")] = totals[kind]
    if not counters:
        raise NoData("the kernel keeps no PSI")
    return Values(counters, {})


COLLECTOR = NodeCollector("node_pressure", "waiting time (/proc/pressure)", _read)
