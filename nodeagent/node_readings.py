"""The node's own sample: all node collectors read, turned into what was used since the last one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nodeagent.clock import Instant
from nodeagent.collector import Frame
from nodeagent.collectors import NODE_COLLECTORS
from nodeagent.counters import Base, next_base, node_deltas
from nodeagent.live_job import UNKNOWN_PAST_S, Row, in_seconds
from nodeagent.paths import Paths

__all__ = ["NodeReadings"]

# All node counters count from the boot: one identity for all.
_DIRS = {"node": 0}


class NodeReadings:
    """Reads the node and holds the base of its next sample."""

    def __init__(self, paths: Paths, frame: Frame) -> None:
        self._paths = paths
        self._frame = frame
        self.base = Base("unknown", {}, _DIRS, 0.0, 0.0)
        self.cpus: float | None = None
        self.memory_bytes: float | None = None

    def restore(self, stored: Mapping[str, Any]) -> None:
        """Take up a stored base of this boot."""
        self.base = Base(stored["kind"], stored["counters"], _DIRS, stored["boot"], stored["wall"])

    def read(self, at: Instant, time: float) -> tuple[Row | None, Base]:
        """Return the sample stamped with this time (None when nothing could be read) and the base
        after it."""
        counters: dict[str, int] = {}
        gauges: dict[str, float] = {}
        for collector in NODE_COLLECTORS:
            values = self._frame.read_node(collector, self._paths)
            if values is not None:
                counters.update(values.counters)
                gauges.update(values.gauges)
        self.cpus = gauges.get("cpus", self.cpus)
        self.memory_bytes = gauges.get("memory_total_bytes", self.memory_bytes)
        if not counters and not gauges:
            return None, self.base
        known = self.base.kind == "known"
        interval_s = max(0.001, at.boot - self.base.boot) if known else UNKNOWN_PAST_S
        row: Row = {"time": time, "interval_s": round(interval_s, 6)}
        row.update(in_seconds(node_deltas(self.base, counters)))
        row.update(gauges)
        return row, next_base(self.base, _DIRS, counters, boot=at.boot, wall=at.wall)

    def rebase(self, base: Base) -> None:
        """Take a base that is safely written."""
        self.base = base

    @staticmethod
    def to_json(base: Base) -> dict[str, Any]:
        """Return a base as it is stored."""
        return {"kind": base.kind, "counters": base.counters, "boot": base.boot, "wall": base.wall}
