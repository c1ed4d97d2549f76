"""Pure parsers of the text formats that kernel files share."""

from __future__ import annotations

import os

__all__ = ["NS_PER_TICK", "count_cpus", "parse_flat", "parse_pressure"]

_NS_PER_S = 1_000_000_000
_NS_PER_US = 1_000

NS_PER_TICK = _NS_PER_S // os.sysconf("SC_CLK_TCK")
"""Nanoseconds in one USER_HZ tick, the unit of /proc/stat and cpuacct.stat."""


def parse_flat(text: str) -> dict[str, int]:
    """Return the `key value` lines of a flat-keyed file; lines of another shape are left out."""
    values = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if value.isdigit():
            values[key] = int(value)
    return values


def count_cpus(text: str) -> int:
    """Return how many CPUs a list such as `0-3,8` names; 0 for an empty one, ValueError for another
    text."""
    total = 0
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        total += int(last or first) - int(first) + 1
    return total


def parse_pressure(text: str) -> dict[str, int]:
    """Return the stalled time of a PSI file in ns: `some`, and `full` where the kernel has it."""
    totals = {}
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        _, found, total = rest.rpartition("total=")
        if found and total.isdigit():
            totals[kind] = int(total) * _NS_PER_US
    return totals
