"""CPU time of the node by mode."""

from __future__ import annotations

from nodeagent.collector import NoData, NodeCollector, Values
from nodeagent.counters import counter_key
from nodeagent.kernel_text import NS_PER_TICK
from nodeagent.paths import Paths

__all__ = ["COLLECTOR", "parse_stat"]

_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_GUEST, _GUEST_NICE = 8, 9


def parse_stat(text: str) -> tuple[dict[str, int], int]:
    """Return (column → ns, CPUs online) of /proc/stat; time of guests is in user and nice, and
    taken out."""
    columns: dict[str, int] = {}
    cpus = 0
    for line in text.splitlines():
        name, *fields = line.split()
        if name == "cpu":
            ticks = [int(field) for field in fields]
            for mode, value in zip(_MODES, ticks):
                columns[f"cpu_{mode}_s"] = value * NS_PER_TICK
            if len(ticks) > _GUEST_NICE:
                columns["cpu_user_s"] -= ticks[_GUEST] * NS_PER_TICK
                columns["cpu_nice_s"] -= ticks[_GUEST_NICE] * NS_PER_TICK
        elif name.startswith("cpu"):
            cpus += 1
        elif columns:
            break
    return columns, cpus


def _read(paths: Paths) -> Values:
    columns, cpus = parse_stat(paths.read_proc("stat"))
    if not columns:
        raise NoData("no cpu line")
    return Values({counter_key("node", name): n for name, n in columns.items()}, {"cpus": cpus})


COLLECTOR = NodeCollector("node_cpu", "CPU time by mode (/proc/stat)", _read)
