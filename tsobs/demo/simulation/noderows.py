"""The samples of a node: what its jobs used, what the system around them did, and the rest idle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tsobs.demo.simulation.cluster import GIB, Node
from tsobs.demo.simulation.jobrows import Columns, JobRows
from tsobs.demo.simulation.window import Times, cut_times

__all__ = ["Loads", "node_rows"]

_SYSTEM_BYTES = 3 * GIB
_FILES_BYTES = 2 * GIB
_BUFFERS_BYTES = GIB // 5
_SYSTEM_USER_CPUS, _SYSTEM_KERNEL_CPUS = 0.12, 0.08
_SYSTEM_PROCESSES = 340
_NETWORK_BYTES_PER_S = 2e4
_PACKET_BYTES = 1_400
_DISK_BYTES_PER_S = 5e4
_IDLE_PACKAGE_W = 96.0
_BUSY_CPU_W = 2.6
_IDLE_DRAM_W = 14.0
_FULL_DRAM_W = 40.0
_REST_W = 85.0  # fans, disks, network, power supplies
_SUMMED = (
    *("cpu_user_s", "cpu_system_s", "io_read_bytes", "io_write_bytes", "energy_j"),
    *("io_pressure_some_s", "io_pressure_full_s", "memory_pressure_some_s"),
)
_GAUGES = ("memory_rss_bytes", "memory_cache_bytes", "processes")


class Loads(NamedTuple):
    """The load averages over 1, 5 and 15 minutes: the one thing that a node remembers."""

    load1: float = 0.0
    load5: float = 0.0
    load15: float = 0.0

    def after(self, running: float, interval_s: float) -> Loads:
        """As the kernel has them after `interval_s` with this many running tasks."""
        kept = [math.exp(-interval_s / span_s) for span_s in (60, 300, 900)]
        return Loads(
            *(load * k + running * (1 - k) for load, k in zip(self, kept, strict=True)),
        )


def node_rows(
    node: Node,
    jobs: Sequence[JobRows],
    gpus: Columns | None,
    loads: Loads,
    span: tuple[int, int, int],
) -> tuple[Columns, Loads]:
    """The rows of a node in the span (start, end, step), and its load averages at the end."""
    start, end, step_s = span
    times = cut_times(start, end, step_s)
    interval_s = np.diff(np.concatenate(([float(start)], times)))
    used = _job_sums(jobs, times)
    busy_s = used["cpu_user_s"] + used["cpu_system_s"]
    averages, loads = _averages(loads, busy_s / interval_s, interval_s)
    columns = {
        "time": times,
        "interval_s": interval_s,
        **_cpu(node, used, interval_s),
        **_traffic(used, interval_s),
        **_energy(used, gpus, node, times, interval_s),
        **_memory(node, used),
        **averages,
        "cpus": np.full_like(times, node.cpus),
        "processes": used["processes"] + _SYSTEM_PROCESSES,
        "processes_running": (busy_s / interval_s).round() + 1,
    }
    return columns, loads


def _job_sums(jobs: Sequence[JobRows], times: Times) -> Columns:
    """What the jobs used in each of the node's intervals, and held at the end of each."""
    sums = {name: np.zeros_like(times) for name in (*_SUMMED, *_GAUGES, "network_bytes")}
    for rows in jobs:
        at = np.searchsorted(times, rows.times)
        for name in _SUMMED:
            sums[name][at] += rows.columns[name]
        sums["network_bytes"][at] += rows.network_bytes
        # A job that ended inside the interval holds nothing at its end.
        there = rows.times == times[at]
        for name in _GAUGES:
            sums[name][at[there]] += rows.columns[name][there]
    return sums


def _cpu(node: Node, used: Columns, interval_s: Times) -> Columns:
    user_s = used["cpu_user_s"] + _SYSTEM_USER_CPUS * interval_s
    system_s = used["cpu_system_s"] + _SYSTEM_KERNEL_CPUS * interval_s
    softirq_s = used["network_bytes"] / 4e9 + 0.01 * interval_s
    left_s = np.maximum(node.cpus * interval_s - user_s - system_s - softirq_s, 0.0)
    iowait_s = np.minimum(used["io_pressure_some_s"], left_s)
    # A full node has no room for the system's own share: it comes out of the users' time.
    over_s = np.maximum(user_s + system_s + softirq_s - node.cpus * interval_s, 0.0)
    return {
        "cpu_user_s": (user_s - over_s).round(3),
        "cpu_nice_s": np.zeros_like(interval_s),
        "cpu_system_s": system_s.round(3),
        "cpu_idle_s": (left_s - iowait_s).round(3),
        "cpu_iowait_s": iowait_s.round(3),
        "cpu_irq_s": np.zeros_like(interval_s),
        "cpu_softirq_s": softirq_s.round(3),
        "cpu_steal_s": np.zeros_like(interval_s),
        "io_pressure_some_s": np.minimum(used["io_pressure_some_s"], interval_s).round(3),
        "io_pressure_full_s": np.minimum(used["io_pressure_full_s"], interval_s).round(3),
        "memory_pressure_some_s": np.minimum(used["memory_pressure_some_s"], interval_s).round(3),
    }


def _traffic(used: Columns, interval_s: Times) -> Columns:
    network = (used["network_bytes"] + _NETWORK_BYTES_PER_S * interval_s).round()
    return {
        "network_receive_bytes": network,
        "network_transmit_bytes": network,
        "network_receive_packets": (network / _PACKET_BYTES).round(),
        "network_transmit_packets": (network / _PACKET_BYTES).round(),
        "network_receive_errors": np.zeros_like(interval_s),
        "network_transmit_errors": np.zeros_like(interval_s),
        "disk_read_bytes": (used["io_read_bytes"] + _DISK_BYTES_PER_S * interval_s).round(),
        "disk_write_bytes": (used["io_write_bytes"] + _DISK_BYTES_PER_S * interval_s).round(),
    }


def _energy(
    used: Columns, gpus: Columns | None, node: Node, times: Times, interval_s: Times
) -> Columns:
    busy_s = used["cpu_user_s"] + used["cpu_system_s"]
    package_j = _IDLE_PACKAGE_W * interval_s + _BUSY_CPU_W * busy_s
    full = used["memory_rss_bytes"] / node.memory_bytes
    dram_j = (_IDLE_DRAM_W + (_FULL_DRAM_W - _IDLE_DRAM_W) * full) * interval_s
    gpu_j = np.zeros_like(times)
    if gpus is not None:
        np.add.at(gpu_j, np.searchsorted(times, gpus["time"]), gpus["energy_j"])
    platform_j = package_j + dram_j + gpu_j + _REST_W * interval_s
    return {
        "energy_package_j": package_j.round(2),
        "energy_dram_j": dram_j.round(2),
        "energy_platform_j": platform_j.round(2),
        # The jobs' part is what jobs are charged with; the rest of the host belongs to nobody.
        "energy_unattributed_j": np.maximum(package_j + dram_j - used["energy_j"], 0.0).round(2),
        "power_w": (platform_j / interval_s).round(1),
    }


def _memory(node: Node, used: Columns) -> Columns:
    taken = _SYSTEM_BYTES + used["memory_rss_bytes"]
    available = np.maximum(node.memory_bytes - taken, 0.0)
    cached = np.minimum(_FILES_BYTES + used["memory_cache_bytes"], available)
    buffers = np.minimum(float(_BUFFERS_BYTES), available - cached)
    return {
        "memory_total_bytes": np.full_like(taken, node.memory_bytes),
        "memory_available_bytes": available,
        "memory_free_bytes": available - cached - buffers,
        "memory_cached_bytes": cached,
        "memory_buffers_bytes": buffers,
        "swap_total_bytes": np.zeros_like(taken),
        "swap_free_bytes": np.zeros_like(taken),
    }


def _averages(loads: Loads, running: Times, interval_s: Times) -> tuple[Columns, Loads]:
    seen: list[Loads] = []
    for tasks, length_s in zip(running.tolist(), interval_s.tolist(), strict=True):
        loads = loads.after(tasks, length_s)
        seen.append(loads)
    names = Loads._fields
    columns = {name: np.array([getattr(one, name) for one in seen]).round(2) for name in names}
    return columns, loads
