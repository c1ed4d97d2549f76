"""One job that is on the node now: what was read of it since its last row, and what its next row
counts from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nodeagent.clock import Instant
from nodeagent.collector import Frame, Pace, Values
from nodeagent.collectors import JOB_COLLECTORS
from nodeagent.counters import Base, counter_key, job_deltas, next_base
from nodeagent.job_dirs import JobDirs
from nodeagent.process_environ import Facts

__all__ = ["UNKNOWN_PAST_S", "Final", "LiveJob", "Row", "in_seconds"]

Row = dict[str, Any]
"""Column → value of one sample, with `time` and `interval_s`."""

# A reading without a past has no deltas; its gauges speak for no longer than this.
UNKNOWN_PAST_S = 1.0
_SHORTEST_S = 0.001
_KILLS_V2 = counter_key("v2", "oom_kills")
# A cgroup left behind without processes is a job that has ended; Slurm makes and fills one within a
# second.
_EMPTY_IS_GONE_S = 60.0


class Final(dict[str, Any]):
    """The end of a job: `job` (its entry with `gone_at`) and `row` (its last sample, or None); kept
    as JSON."""


class LiveJob:
    """Follows one job from the first sight of its cgroup to the last."""

    def __init__(self, key: str, dirs: JobDirs, base: Base, started_at: float | None) -> None:
        self.key = key
        """Its directory's name: the id, or a SLUID."""
        self.job_id: str | None = None
        """None while a SLUID hides it: then it is read, and reported from the start once known."""
        self.dirs = dirs
        self.base = base
        self.started_at = started_at
        self.uid: int | None = None
        self.user_name: str | None = None
        self.facts = Facts()
        self.gpu_variables: Mapping[str, str] = {}
        """What the environment of its processes says of GPUs; asked anew after a restart."""
        self.oom_killed: bool | None = None
        self.parked = False
        """Its cgroup is empty and it was said to be gone; it comes back to life with a process."""
        self.empty_since: Instant | None = None
        self.quick_until = 0.0
        """Seconds since boot until which it is read more often than each second."""
        self.urgent_until = 0.0
        """The same, and a kill is on its way."""
        self._counters: dict[str, int] = {}
        self._gauges: dict[str, float] = {}
        self._at: Instant | None = None
        self._cpus: float | None = None
        self._memory_bytes: float | None = None

    def read(self, frame: Frame, at: Instant, pace: Pace = Pace.ROUND) -> None:
        """Read what is due at a pace: at a round, everything."""
        read_something = False
        for collector in JOB_COLLECTORS:
            if collector.pace < pace:
                continue
            values = frame.read_job(collector, self.dirs)
            if values is not None:
                self._absorb(values)
                read_something = True
        if read_something:
            self._at = at
            self._notice_empty(at)

    def row(self, time: float | None = None) -> Row | None:
        """Return the sample of what was read since the base; None when nothing was.

        `time` is the stamp, unix seconds; by default that of the reading.
        """
        if self._at is None:
            return None
        row: Row = {
            "time": round(self._at.wall, 3) if time is None else time,
            "interval_s": self._interval_s(self._at),
        }
        deltas = job_deltas(self.base, self.dirs.inodes(), self._counters)
        for collector in JOB_COLLECTORS:
            if collector.derive is not None:
                collector.derive(deltas)
        row.update(in_seconds(deltas))
        row.update((name, value) for name, value in self._gauges.items() if name[0] != "_")
        return row

    def entry(self, gone_at: float | None = None) -> Row:
        """Return the job's entry in a batch's `jobs`; `gone_at` in unix seconds when its cgroup
        vanished."""
        return {
            "scheduler": "slurm",
            "job_id": self.job_id,
            "uid": self.uid,
            **self.facts._asdict(),
            "user_name": self.user_name,
            "started_at": self.started_at,
            "cpus": self._cpus,
            "memory_bytes": self._memory_bytes,
            "gone_at": gone_at,
            "oom_killed": self.oom_killed,
        }

    def final(self) -> Final:
        """Return the job's end: its last reading, and the time at which it was last there."""
        seen = self._at.wall if self._at is not None else self.base.wall
        if self.empty_since is not None and self.is_empty_for_long():
            seen = self.empty_since.wall
        return Final(job=self.entry(round(seen, 3)), row=self.row())

    def is_empty_for_long(self) -> bool:
        """Tell whether the cgroup has had no process for so long that the job is over."""
        if self.empty_since is None or self._at is None:
            return False
        return self._at.boot - self.empty_since.boot >= _EMPTY_IS_GONE_S

    def next_base(self) -> Base:
        """Return the base after a row of what was read is kept."""
        if self._at is None:
            return self.base
        parts = frozenset(f"{part}#{inode}" for part, inode in self.dirs.parts("memory").items())
        return next_base(
            self.base,
            self.dirs.inodes(),
            self._counters,
            boot=self._at.boot,
            wall=self._at.wall,
            parts=parts,
        )

    def rebase(self, base: Base) -> None:
        """Take a base that is safely written; what was read up to it is used up."""
        self.base = base
        self._counters = {}
        self._gauges = {}
        self._at = None

    def kills(self) -> int | None:
        """Return the OOM kills last read of v2's cgroup; None when none were counted."""
        return self._counters.get(_KILLS_V2, self.base.counters.get(_KILLS_V2))

    def learn_kills(self, count: int) -> None:
        """Take the count that the cgroup had at its end from elsewhere."""
        self._counters[_KILLS_V2] = count
        if self._at is None:
            # Nothing was read since the last row: this is its own, as short as a row can be.
            later = Instant(self.base.wall + _SHORTEST_S, self.base.boot + _SHORTEST_S)
            self._at = later
        self.oom_killed = bool(self.oom_killed) or count > 0

    def _absorb(self, values: Values) -> None:
        self._counters.update(values.counters)
        gauges = values.gauges
        self._gauges.update(gauges)
        if "cpus_allocated" in gauges:
            self._cpus = gauges["cpus_allocated"]
        if "memory_limit_bytes" in gauges:
            self._memory_bytes = gauges["memory_limit_bytes"]
        if "_oom_killed" in gauges:
            # v1 forgets a kill with the step it happened in.
            self.oom_killed = bool(self.oom_killed) or gauges["_oom_killed"] > 0

    def _notice_empty(self, at: Instant) -> None:
        populated = self._gauges.pop("_populated", None)
        if populated is None:
            return
        if populated:
            self.empty_since = None
            self.parked = False
        elif self.empty_since is None:
            self.empty_since = at

    def _interval_s(self, at: Instant) -> float:
        if self.base.kind == "unknown":
            return UNKNOWN_PAST_S
        return round(max(_SHORTEST_S, at.boot - self.base.boot), 6)


def in_seconds(deltas: dict[str, int | None]) -> Row:
    """Return columns in base units: nanoseconds become seconds; unknown ones are left out."""
    return {
        name: value / 1e9 if name.endswith("_s") else value
        for name, value in deltas.items()
        if value is not None
    }
