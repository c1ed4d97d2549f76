"""The samples of one run on one of its nodes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tsobs.demo.simulation.curves import Curves
from tsobs.demo.simulation.job import Run
from tsobs.demo.simulation.window import LIVE_STEP_S, Times, cut_times

__all__ = ["Columns", "JobRows", "job_rows"]

Columns = dict[str, Times]

# What a busy CPU draws more than an idle one, and an idle one's part of the package.
_BUSY_CPU_W = 2.6
_IDLE_CPU_W = 1.5
_PAGE_BYTES = 4096
_FAULTS_PER_CPU_S = 300
# From here on the kernel has to reclaim for every allocation.
_TIGHT = 0.97


class JobRows(NamedTuple):
    """Columns of equal length by name, and what the node itself needs to know beside them."""

    run: Run
    columns: Columns
    network_bytes: Times

    @property
    def times(self) -> Times:
        """The ends of the intervals, unix seconds."""
        return self.columns["time"]


def job_rows(run: Run, ordinal: int, start: int, end: int, step_s: int) -> JobRows | None:
    """The rows of a run on its node number `ordinal` in (start, end]; None when there are none."""
    low, high = max(start, run.start_at), min(end, run.end_at)
    if low >= high:
        return None
    job, kind = run.job, run.job.kind
    times = cut_times(low, high, step_s)
    edges = np.concatenate(([float(low)], times))
    interval_s = np.diff(edges)
    middles = (edges[:-1] + edges[1:]) / 2 - run.start_at
    curves = Curves(job, ordinal)
    busy = curves.activity(middles, kind.rhythm)
    # A job of phases reads and writes while it does not compute.
    moving = 1.2 - busy if kind.rhythm == "phases" else 0.4 + 0.6 * busy
    cpu_s = curves.cpu_ratio(middles) * job.cpus * interval_s
    memory = _memory(curves, run, times)
    reads = kind.read_bytes_per_s * moving * interval_s
    writes = kind.write_bytes_per_s * moving * interval_s
    tight = memory["memory_used_bytes"] >= _TIGHT * job.memory_bytes
    grown = np.maximum(np.diff(_used(curves, run, edges)), 0.0)
    processes = np.full_like(times, 2.0 if kind.rhythm in ("serial", "interactive") else job.cpus)
    columns = {
        "time": times,
        "interval_s": interval_s,
        "cpu_user_s": (cpu_s * (1 - curves.system_share)).round(3),
        "cpu_system_s": (cpu_s * curves.system_share).round(3),
        "cpu_throttled_s": np.zeros_like(times),
        "cpu_pressure_some_s": (0.01 * busy * interval_s).round(3),
        "cpu_pressure_full_s": np.zeros_like(times),
        "memory_pressure_some_s": np.where(tight, 0.3 * interval_s, 0.0).round(3),
        "memory_pressure_full_s": np.where(tight, 0.2 * interval_s, 0.0).round(3),
        "io_pressure_some_s": (0.05 * moving * interval_s).round(3),
        "io_pressure_full_s": (0.02 * moving * interval_s).round(3),
        "io_read_bytes": reads.round(),
        "io_write_bytes": writes.round(),
        "io_read_ops": (reads / 131_072).round(),
        "io_write_ops": (writes / 131_072).round(),
        "page_faults": (grown / _PAGE_BYTES + _FAULTS_PER_CPU_S * cpu_s).round(),
        "major_page_faults": np.where(tight, interval_s, 0.0).round(),
        "memory_limit_hits": np.where(tight, 4 * interval_s, 0.0).round(),
        "oom_kills": _oom_kills(run, ordinal, times),
        "energy_j": (_BUSY_CPU_W * cpu_s + _IDLE_CPU_W * job.cpus * interval_s).round(2),
        "cpus_allocated": np.full_like(times, job.cpus),
        **memory,
        "processes": processes + 1,
        "threads": processes * 2 + 3,
    }
    return JobRows(run, columns, (kind.network_bytes_per_s * busy * interval_s).round())


def _oom_kills(run: Run, ordinal: int, times: Times) -> Times:
    kills = np.zeros_like(times)
    if run.job.fate == "out_of_memory" and ordinal == 0 and times[-1] == run.end_at:
        kills[-1] = 1
    return kills


def _used(curves: Curves, run: Run, times: Times) -> Times:
    used: Times = (curves.memory_ratio(times - run.start_at) * run.job.memory_bytes).round()
    return used


def _memory(curves: Curves, run: Run, times: Times) -> Columns:
    used = _used(curves, run, times)
    cache = (used * curves.cache_share(times - run.start_at)).round()
    # The peak of a job's whole life, seen every 15 s: it must not depend on where a window begins.
    grid = cut_times(run.start_at, times[-1], LIVE_STEP_S)
    peaks = np.maximum.accumulate(_used(curves, run, grid))
    return {
        "memory_used_bytes": used,
        "memory_rss_bytes": used - cache,
        "memory_cache_bytes": cache,
        "memory_shmem_bytes": np.zeros_like(times),
        "memory_swap_bytes": np.zeros_like(times),
        "memory_limit_bytes": np.full_like(times, run.job.memory_bytes),
        "memory_peak_bytes": peaks[np.searchsorted(grid, times)],
    }
