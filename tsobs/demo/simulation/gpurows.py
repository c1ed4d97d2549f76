"""The samples of a node's GPUs: each GPU's time is cut where a job takes or leaves it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tsobs.demo.simulation.cluster import GIB
from tsobs.demo.simulation.curves import Curves
from tsobs.demo.simulation.job import Run
from tsobs.demo.simulation.jobrows import Columns
from tsobs.demo.simulation.window import Times, cut_times

__all__ = ["GPU_MEMORY_BYTES", "Holding", "gpu_rows"]

GPU_MEMORY_BYTES = 80 * GIB
_IDLE_W, _LIMIT_W = 62.0, 500.0
_IDLE_CELSIUS, _HOT_CELSIUS = 31.0, 71.0
_IDLE_HZ, _FULL_HZ, _MEMORY_HZ = 2.1e8, 1.755e9, 1.593e9


class Holding(NamedTuple):
    """A run that holds a GPU on its node number `ordinal`; `job` is its index in the batch."""

    run: Run
    ordinal: int
    job: int


def gpu_rows(
    holdings: Sequence[Sequence[Holding]], start: int, end: int, step_s: int
) -> Columns | None:
    """The rows of all GPUs of a node in (start, end], given who held each; None without GPUs.

    The columns `gpu` and `job` are indexes; `job` is NaN where no job holds the GPU.
    """
    parts: list[Columns] = []
    for gpu, held in enumerate(holdings):
        for low, high, holding in _spans(held, start, end):
            parts.append(_rows(gpu, holding, low, high, step_s))
    if not parts:
        return None
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _spans(
    held: Sequence[Holding], start: int, end: int
) -> Iterator[tuple[int, int, Holding | None]]:
    """The stretches of (start, end], each with the job that held the GPU, or None."""
    at = start
    for holding in sorted(held, key=lambda holding: holding.run.start_at):
        low, high = max(holding.run.start_at, start), min(holding.run.end_at, end)
        if low >= high:
            continue
        if at < low:
            yield at, low, None
        yield low, high, holding
        at = high
    if at < end:
        yield at, end, None


def _rows(gpu: int, holding: Holding | None, low: int, high: int, step_s: int) -> Columns:
    times = cut_times(low, high, step_s)
    edges = np.concatenate(([float(low)], times))
    interval_s = np.diff(edges)
    used, memory = _use(holding, edges)
    power_w = (_IDLE_W + 0.9 * (_LIMIT_W - _IDLE_W) * used).round(1)
    heat = (power_w - _IDLE_W) / (_LIMIT_W - _IDLE_W)
    celsius = (_IDLE_CELSIUS + (_HOT_CELSIUS - _IDLE_CELSIUS) * heat).round()
    return {
        "time": times,
        "interval_s": interval_s,
        "gpu": np.full_like(times, gpu),
        "job": np.full_like(times, np.nan if holding is None else holding.job),
        "share": np.ones_like(times),
        "utilization_ratio": used.round(3),
        "memory_utilization_ratio": (0.55 * used).round(3),
        "sm_active_ratio": (0.85 * used).round(3),
        "dram_active_ratio": (0.5 * used).round(3),
        "memory_used_bytes": (memory * GPU_MEMORY_BYTES).round(),
        "memory_total_bytes": np.full_like(times, GPU_MEMORY_BYTES),
        "power_w": power_w,
        "power_limit_w": np.full_like(times, _LIMIT_W),
        "temperature_celsius": celsius,
        "sm_clock_hz": np.where(used > 0, _FULL_HZ, _IDLE_HZ),
        "memory_clock_hz": np.full_like(times, _MEMORY_HZ),
        "energy_j": (power_w * interval_s).round(2),
        "ecc_corrected_errors": np.zeros_like(times),
        "ecc_uncorrected_errors": np.zeros_like(times),
        "xid_errors": np.zeros_like(times),
        "pcie_rx_bytes": (2e9 * used * interval_s).round(),
        "pcie_tx_bytes": (4e8 * used * interval_s).round(),
    }


def _use(holding: Holding | None, edges: Times) -> tuple[Times, Times]:
    """Utilisation and memory ratio of each interval."""
    if holding is None:
        nothing = np.zeros(len(edges) - 1)
        return nothing, nothing
    curves = Curves(holding.run.job, holding.ordinal)
    since = edges - holding.run.start_at
    return curves.gpu_ratio((since[:-1] + since[1:]) / 2), curves.gpu_memory_ratio(since[1:])
