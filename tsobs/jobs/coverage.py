"""For how much of a job's time the answers are known."""

from __future__ import annotations

from datetime import datetime, timedelta

from tsobs.jobs.quantities import ratio_of, seconds_between
from tsobs.row import Row

__all__ = ["FULL_COVERAGE", "coverage"]

# An answer that is known for less than this says for how much.
FULL_COVERAGE = 0.95
# As in the statements: an interval longer than this is one of an agent that caught up.
LONGEST_INTERVAL_S = 300.0
INTERVALS_ALIVE = 3


def coverage(job: Row, usage: Row, gpu: Row | None) -> float | None:
    """The least share of the job's time, on all its nodes, for which a mean is known; None when
    that is nearly all of it."""
    start = job["start_at"] or usage["first_interval_at"]
    span_s = seconds_between(start, _known_end(job, usage))
    nodes = max(len(job["nodes"] or ()), len(usage["sampled_nodes"]))
    expected_s = nodes * (span_s or 0.0)
    known = [
        ratio_of(usage["cpu_known_s"] if usage["cpu_capacity_s"] else None, expected_s),
        ratio_of(usage["memory_known_s"], expected_s),
        ratio_of(gpu["busy_known_s"], gpu["held_s"]) if gpu else None,
    ]
    least = min((share for share in known if share is not None), default=1.0)
    return least if least < FULL_COVERAGE else None


def _known_end(job: Row, usage: Row) -> datetime | None:
    """Until when there ought to be samples: a running job's next one is not missing yet."""
    end: datetime | None = job["end_at"]
    if end is not None or job["state"] != "running":
        return end or usage["last_sample_at"]
    last: datetime | None = usage["last_sample_at"]
    read: datetime = job["read_at"]
    interval_s = min(usage["interval_s"] or LONGEST_INTERVAL_S, LONGEST_INTERVAL_S)
    if last is not None and read - last <= timedelta(seconds=INTERVALS_ALIVE * interval_s):
        return last
    return read
