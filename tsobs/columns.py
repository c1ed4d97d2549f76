"""The columns of the sample tables: what an agent may send, in which unit, and how each adds up.

A *delta* is what was used in the interval that ends at the row's time, so a sum is exact. A
*gauge* is the
value at that time. `low` and `high` are the values a row may carry (base units); a row outside is
refused.
The order is the order of COPY and of `sql/migrations`; a test compares the two.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

__all__ = ["TABLES", "Column", "Kind", "SampleTable"]


class Kind(Enum):
    """How the values of a column combine over time."""

    DELTA = "delta"
    GAUGE = "gauge"


class Column(NamedTuple):
    """One measured column: name with its unit, kind, and the range a row must keep."""

    name: str
    kind: Kind
    high: float
    help: str
    low: float = 0.0


class SampleTable(NamedTuple):
    """One hypertable of samples: its key columns, then its measured ones."""

    name: str
    keys: tuple[str, ...]
    columns: tuple[Column, ...]


# Nothing real comes near these; they stop a wrong unit or a wild counter from spoiling a sum for
# ever.
_SECONDS = 1e8  # 10,000 CPUs for nearly three hours in one interval
_BYTES = 1e16  # 10 PB
_COUNT = 1e15
_JOULES = 1e10
_WATTS = 1e7
_CELSIUS = 1e3
_COLDEST = -100.0
_HERTZ = 1e11
_RATIO = 1.0


def _delta(name: str, high: float, text: str) -> Column:
    return Column(name, Kind.DELTA, high, text)


def _gauge(name: str, high: float, text: str, low: float = 0.0) -> Column:
    return Column(name, Kind.GAUGE, high, text, low)


_JOB = (
    _delta("cpu_user_s", _SECONDS, "CPU time in user mode"),
    _delta("cpu_system_s", _SECONDS, "CPU time in kernel mode"),
    _delta("cpu_throttled_s", _SECONDS, "time that the CPU quota held the job back"),
    _delta("cpu_pressure_some_s", _SECONDS, "time that some task waited for a CPU"),
    _delta("cpu_pressure_full_s", _SECONDS, "time that all tasks waited for a CPU"),
    _delta("memory_pressure_some_s", _SECONDS, "time that some task waited for memory"),
    _delta("memory_pressure_full_s", _SECONDS, "time that all tasks waited for memory"),
    _delta("io_pressure_some_s", _SECONDS, "time that some task waited for block I/O"),
    _delta("io_pressure_full_s", _SECONDS, "time that all tasks waited for block I/O"),
    _delta("io_read_bytes", _BYTES, "bytes read from block devices"),
    _delta("io_write_bytes", _BYTES, "bytes written to block devices"),
    _delta("io_read_ops", _COUNT, "reads from block devices"),
    _delta("io_write_ops", _COUNT, "writes to block devices"),
    _delta("page_faults", _COUNT, "page faults"),
    _delta("major_page_faults", _COUNT, "page faults that needed I/O"),
    _delta("memory_limit_hits", _COUNT, "times that the memory limit was hit"),
    _delta("oom_kills", _COUNT, "processes killed for lack of memory"),
    _delta("energy_j", _JOULES, "energy of the host attributed to the job, without GPUs"),
    _gauge("cpus_allocated", 1e6, "CPUs that the job may use on this node"),
    _gauge("memory_used_bytes", _BYTES, "memory charged to the job, page cache included"),
    _gauge("memory_rss_bytes", _BYTES, "anonymous memory"),
    _gauge("memory_cache_bytes", _BYTES, "page cache"),
    _gauge("memory_shmem_bytes", _BYTES, "shared memory and tmpfs"),
    _gauge("memory_swap_bytes", _BYTES, "swap in use"),
    _gauge("memory_limit_bytes", _BYTES, "memory limit; null when there is none"),
    _gauge("memory_peak_bytes", _BYTES, "highest memory use so far, as the kernel saw it"),
    _gauge("processes", 1e9, "processes"),
    _gauge("threads", 1e9, "threads"),
)

_GPU = (
    _gauge("utilization_ratio", _RATIO, "share of the interval in which a kernel ran"),
    _gauge(
        "memory_utilization_ratio", _RATIO, "share of the interval in which memory was accessed"
    ),
    _gauge("sm_active_ratio", _RATIO, "share of multiprocessors with work"),
    _gauge("sm_occupancy_ratio", _RATIO, "share of warps resident"),
    _gauge("tensor_active_ratio", _RATIO, "share of cycles with tensor work"),
    _gauge("dram_active_ratio", _RATIO, "share of cycles with memory traffic"),
    _gauge("encoder_ratio", _RATIO, "video encoder utilisation"),
    _gauge("decoder_ratio", _RATIO, "video decoder utilisation"),
    _gauge("memory_used_bytes", _BYTES, "GPU memory in use"),
    _gauge("memory_total_bytes", _BYTES, "GPU memory"),
    _gauge("power_w", _WATTS, "power drawn"),
    _gauge("power_limit_w", _WATTS, "power limit in force"),
    _gauge("temperature_celsius", _CELSIUS, "core temperature", low=_COLDEST),
    _gauge("memory_temperature_celsius", _CELSIUS, "memory temperature", low=_COLDEST),
    _gauge("sm_clock_hz", _HERTZ, "multiprocessor clock"),
    _gauge("memory_clock_hz", _HERTZ, "memory clock"),
    _gauge("fan_ratio", _RATIO, "fan speed"),
    _delta("energy_j", _JOULES, "energy used"),
    _delta("ecc_corrected_errors", _COUNT, "memory errors corrected"),
    _delta("ecc_uncorrected_errors", _COUNT, "memory errors not corrected"),
    _delta("xid_errors", _COUNT, "driver error events"),
    _delta("pcie_rx_bytes", _BYTES, "bytes received over PCIe"),
    _delta("pcie_tx_bytes", _BYTES, "bytes sent over PCIe"),
    _delta("nvlink_rx_bytes", _BYTES, "bytes received over NVLink"),
    _delta("nvlink_tx_bytes", _BYTES, "bytes sent over NVLink"),
    _delta("throttled_power_s", _SECONDS, "time slowed for power"),
    _delta("throttled_thermal_s", _SECONDS, "time slowed for heat"),
)

_NODE = (
    _delta("cpu_user_s", _SECONDS, "CPU time in user mode"),
    _delta("cpu_nice_s", _SECONDS, "CPU time in user mode at low priority"),
    _delta("cpu_system_s", _SECONDS, "CPU time in kernel mode"),
    _delta("cpu_idle_s", _SECONDS, "idle CPU time"),
    _delta("cpu_iowait_s", _SECONDS, "idle CPU time with I/O outstanding"),
    _delta("cpu_irq_s", _SECONDS, "CPU time in interrupts"),
    _delta("cpu_softirq_s", _SECONDS, "CPU time in soft interrupts"),
    _delta("cpu_steal_s", _SECONDS, "CPU time that the hypervisor took"),
    _delta("network_receive_bytes", _BYTES, "bytes received, without loopback"),
    _delta("network_transmit_bytes", _BYTES, "bytes sent, without loopback"),
    _delta("network_receive_packets", _COUNT, "packets received"),
    _delta("network_transmit_packets", _COUNT, "packets sent"),
    _delta("network_receive_errors", _COUNT, "receive errors"),
    _delta("network_transmit_errors", _COUNT, "send errors"),
    _delta("disk_read_bytes", _BYTES, "bytes read from disks"),
    _delta("disk_write_bytes", _BYTES, "bytes written to disks"),
    _delta("cpu_pressure_some_s", _SECONDS, "time that some task waited for a CPU"),
    _delta("memory_pressure_some_s", _SECONDS, "time that some task waited for memory"),
    _delta("memory_pressure_full_s", _SECONDS, "time that all tasks waited for memory"),
    _delta("io_pressure_some_s", _SECONDS, "time that some task waited for I/O"),
    _delta("io_pressure_full_s", _SECONDS, "time that all tasks waited for I/O"),
    _delta("energy_package_j", _JOULES, "energy of the CPU packages"),
    _delta("energy_dram_j", _JOULES, "energy of the memory"),
    _delta("energy_platform_j", _JOULES, "energy of the whole machine"),
    _delta("energy_unattributed_j", _JOULES, "energy that belongs to no job"),
    _gauge("cpus", 1e6, "CPUs online"),
    _gauge("memory_total_bytes", _BYTES, "memory"),
    _gauge("memory_available_bytes", _BYTES, "memory that new work could have"),
    _gauge("memory_free_bytes", _BYTES, "memory not used at all"),
    _gauge("memory_cached_bytes", _BYTES, "page cache"),
    _gauge("memory_buffers_bytes", _BYTES, "block device buffers"),
    _gauge("swap_total_bytes", _BYTES, "swap"),
    _gauge("swap_free_bytes", _BYTES, "swap not used"),
    _gauge("load1", 1e7, "load average over 1 minute"),
    _gauge("load5", 1e7, "load average over 5 minutes"),
    _gauge("load15", 1e7, "load average over 15 minutes"),
    _gauge("processes_running", 1e9, "processes that run or wait for a CPU"),
    _gauge("processes", 1e9, "processes"),
    _gauge("power_w", _WATTS, "power drawn by the machine"),
)

TABLES = {
    table.name: table
    for table in (
        SampleTable("job_sample", ("time", "job_key", "node_id", "interval_s"), _JOB),
        SampleTable(
            "gpu_sample", ("time", "gpu_id", "node_id", "job_key", "share", "interval_s"), _GPU
        ),
        SampleTable("node_sample", ("time", "node_id", "interval_s"), _NODE),
    )
}
