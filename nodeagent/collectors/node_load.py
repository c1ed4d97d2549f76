"""Load averages of the node, and how many processes there are and run."""

from __future__ import annotations

import os
import re

from nodeagent.collector import NodeCollector, Values
from nodeagent.paths import Paths

__all__ = ["COLLECTOR", "parse_loadavg"]

_RUNNING = re.compile(r"^procs_running (\d+)$", re.MULTILINE)


def parse_loadavg(text: str) -> dict[str, float]:
    """Return the three load averages."""
    one, five, fifteen = text.split()[:3]
    return {"load1": float(one), "load5": float(five), "load15": float(fifteen)}


def _read(paths: Paths) -> Values:
    gauges = parse_loadavg(paths.read_proc("loadavg"))
    running = _RUNNING.search(paths.read_proc("stat"))
    if running is not None:
        gauges["processes_running"] = int(running[1])
    with os.scandir(paths.proc) as entries:
        processes = sum(entry.name.isdigit() for entry in entries)
    if processes:
        gauges["processes"] = processes
    return Values({}, gauges)


COLLECTOR = NodeCollector("node_load", "load and processes (/proc/loadavg, /proc/stat)", _read)
