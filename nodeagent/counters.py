"""The rules that turn kernel counters into what was used in one interval.

A counter's key is `controller:column`, or `controller:column|part` where a column is the sum of
parts that come and go (the steps of a job, the interfaces of a node). Columns that end in `_s` are
counted in nanoseconds here and become seconds in the batch, so that nothing is rounded while it
adds up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["Base", "counter_key", "job_deltas", "next_base", "node_deltas"]

# The kernel may take back a little idle or iowait time; node_exporter allows for the same 3 s.
_MAY_STEP_BACK = {"node:cpu_idle_s": 3_000_000_000, "node:cpu_iowait_s": 3_000_000_000}


class Base(NamedTuple):
    """What the next deltas are counted from: `known` (these counters), `zero` (it is new) or
    `unknown`."""

    kind: str
    counters: Mapping[str, int]
    dirs: Mapping[str, int]
    """Inode of each controller's directory when the counters were read: the cgroup's identity."""
    boot: float
    """Seconds since boot of that reading; of the cgroup's creation when zero."""
    wall: float
    """Unix seconds of that reading."""


def counter_key(controller: str, column: str, part: str = "") -> str:
    """Return the key of a counter, or of one part of it."""
    return f"{controller}:{column}|{part}" if part else f"{controller}:{column}"


def job_deltas(
    base: Base, dirs: Mapping[str, int], counters: Mapping[str, int]
) -> dict[str, int | None]:
    """Return column → use since the base; None where the past is unknown or the counter went
    back."""
    deltas: dict[str, int | None] = {}
    for key, value in counters.items():
        controller, _, rest = key.partition(":")
        column, _, part = rest.partition("|")
        _add(deltas, column, _job_delta(base, dirs.get(controller), key, value, bool(part)))
    return deltas


def _job_delta(base: Base, inode: int | None, key: str, value: int, is_part: bool) -> int | None:
    if base.kind == "unknown":
        return None
    controller = key.partition(":")[0]
    # Absent at the last reading, or recreated since: all it counts was used since then.
    # (No inode: the directory is gone by now, and this was its last reading.)
    if base.kind == "zero" or base.dirs.get(controller) != (inode or base.dirs.get(controller, -1)):
        return value
    old = base.counters.get(key)
    if old is None:
        return value if is_part else None
    return value - old if value >= old else None


def node_deltas(base: Base, counters: Mapping[str, int]) -> dict[str, int | None]:
    """Return column → use since the base; a part never met before or gone back makes its column
    None."""
    deltas: dict[str, int | None] = {}
    for key, value in counters.items():
        column = key.partition(":")[2].partition("|")[0]
        old = base.counters.get(key) if base.kind == "known" else None
        delta = None
        if old is not None:
            delta = value - old
            if delta < 0:
                delta = 0 if -delta <= _MAY_STEP_BACK.get(key, -1) else None
        _add(deltas, column, delta)
    return deltas


def _add(deltas: dict[str, int | None], column: str, delta: int | None) -> None:
    if column not in deltas:
        deltas[column] = delta
        return
    before = deltas[column]
    deltas[column] = None if before is None or delta is None else before + delta


def next_base(
    base: Base,
    dirs: Mapping[str, int],
    counters: Mapping[str, int],
    *,
    boot: float,
    wall: float,
    parts: frozenset[str] | None = None,
) -> Base:
    """Return the base after these counters were taken.

    What could not be read this time keeps its old value, so that its use is counted when it can be
    read again. `parts`, when given, are the parts that still exist; counters of others are
    forgotten.
    """
    kept = {
        key: old
        for key, old in base.counters.items()
        if base.kind == "known" and _still_there(key, base.dirs, dirs, parts)
    }
    for key, value in counters.items():
        if not _still_there(key, dirs, dirs, parts):
            continue
        old = kept.get(key, value)
        if not 0 < old - value <= _MAY_STEP_BACK.get(key, -1):
            kept[key] = value
    return Base("known", kept, dict(dirs), boot, wall)


def _still_there(
    key: str, then: Mapping[str, int], now: Mapping[str, int], parts: frozenset[str] | None
) -> bool:
    controller = key.partition(":")[0]
    if controller not in now or then.get(controller) != now[controller]:
        return False
    part = key.partition("|")[2]
    return not part or parts is None or part in parts
