"""Every metric that tsobs itself produces, declared once: /metrics and its document derive from
it, and so does what reads the past.

A metric is read from a relation of the snapshot (query/snapshot.py): a row a labelled thing, a
column a value; what is unknown has no series. A counter is a running total, a gauge the newest
value. Its history (query/history.py) says what in the samples it follows from.
"""

from __future__ import annotations

from query.declare import counter, gauge, info, renamed, sampled, split
from query.history import TIME, History
from query.metric import Metric

__all__ = ["CATALOGUE", "SEED_NAMES", "of_relation"]


def _of_job(value: str) -> History:
    return History("job_sample", value)


def _of_gpu(value: str, weight: str | None = None) -> History:
    return History("gpu_sample", value, weight)


def _of_node(value: str) -> History:
    return History("node_sample", value)


# A GPU's rows at one time are one a job that shares it; their shares add up to 1.
_HELD_S = "interval_s * share"
_BUSY_S = "utilization_ratio * interval_s * share"

_JOB = [
    info(
        "job",
        "hpc_job_info",
        "1 for each running job, with what is known of it; join on cluster, job_id and user.",
        _of_job("1"),
        *("scheduler", "name", "account", "partition", "qos", "restart_count"),
        *("array_job_id", "array_task_id", "het_job_id", "het_offset"),
    ),
    *(
        gauge("job", f"hpc_job_{name}", column, unit, help, _of_job(column))
        for name, column, unit, help in (
            ("start_time_seconds", "start_s", "seconds", "When the job started, as Unix time."),
            ("submit_time_seconds", "submit_s", "seconds", "When it was submitted, as Unix time."),
            ("time_limit_seconds", "time_limit_s", "seconds", "How long the job may run."),
            ("priority", "priority", "", "The scheduler's priority of the job."),
            ("requested_cpus", "requested_cpus", "", "CPUs asked for."),
            ("requested_memory_bytes", "requested_memory_bytes", "bytes", "Memory asked for."),
            ("requested_gpus", "requested_gpus", "", "GPUs asked for."),
            ("allocated_cpus", "allocated_cpus", "", "CPUs given, on all nodes."),
            ("allocated_memory_bytes", "allocated_memory_bytes", "bytes", "Memory given, in all."),
            ("allocated_gpus", "allocated_gpus", "", "GPUs given, on all nodes."),
        )
    ),
    gauge(
        "job_node",
        "hpc_job_node_allocated_cpus",
        "allocated_cpus",
        "",
        "CPUs that the scheduler gave the job on the node.",
        _of_job("allocated_cpus"),
    ),
    gauge(
        "job_node",
        "hpc_job_node_allocated_memory_bytes",
        "allocated_memory_bytes",
        "bytes",
        "Memory that the scheduler gave the job on the node.",
        _of_job("allocated_memory_bytes"),
    ),
    gauge(
        "job_node",
        "hpc_job_runtime_seconds",
        "runtime_s",
        "seconds",
        "Time since the job started.",
        _of_job(f"{TIME} - start_s"),
    ),
    gauge(
        "job_node",
        "hpc_job_cpu_usage_percent",
        "cpu_usage_ratio",
        "percent",
        "CPU use in the newest interval, of the CPUs allocated on the node (0-100).",
        _of_job("(cpu_user_s + cpu_system_s) / (interval_s * cpus_allocated)"),
    ),
    gauge(
        "job_node",
        "hpc_job_memory_usage_bytes",
        "memory_used_bytes",
        "bytes",
        "Memory charged to the job, page cache included.",
        _of_job("memory_used_bytes"),
    ),
    gauge(
        "job_node_gpu",
        "hpc_job_gpu_usage_percent",
        "utilization_ratio",
        "percent",
        "Mean utilisation of the job's GPUs on the node, weighted by the share it holds (0-100).",
        _of_gpu("utilization_ratio", weight="share"),
    ),
    counter(
        "job_node",
        "hpc_job_sampled_seconds_total",
        "known_s",
        "seconds",
        "Time that the job's samples cover.",
        _of_job("interval_s"),
    ),
    counter(
        "job_node",
        "hpc_job_cpu_capacity_seconds_total",
        "cpu_capacity_s",
        "seconds",
        "CPU time on offer while its use was known: CPUs allocated × time.",
        _of_job("interval_s * cpus_allocated + 0 * (cpu_user_s + cpu_system_s)"),
    ),
    *sampled(
        "job_node",
        "hpc_job_",
        *("memory_rss_bytes", "memory_cache_bytes", "memory_shmem_bytes", "memory_swap_bytes"),
        *("memory_limit_bytes", "memory_peak_bytes", "processes", "threads"),
        *("cpu_user_s", "cpu_system_s", "cpu_throttled_s"),
        *("cpu_pressure_some_s", "cpu_pressure_full_s"),
        *("memory_pressure_some_s", "memory_pressure_full_s"),
        *("io_pressure_some_s", "io_pressure_full_s", "io_read_bytes", "io_write_bytes"),
        *("page_faults", "major_page_faults", "memory_limit_hits", "oom_kills", "energy_j"),
        renamed={
            "cpus_allocated": "cpus",
            "io_read_ops": "io_reads",
            "io_write_ops": "io_writes",
        },
    ),
]

_JOB_GPU = [
    *(
        gauge("job_gpu", f"hpc_job_gpu_device_{name}", column, unit, help, _of_gpu(column))
        for name, column, unit, help in (
            ("utilization_percent", "utilization_ratio", "percent", "Use of the GPU (0-100)."),
            ("memory_used_bytes", "memory_used_bytes", "bytes", "GPU memory in use."),
            ("power_watts", "power_w", "watts", "Power that the GPU draws."),
            ("temperature_celsius", "temperature_celsius", "celsius", "Temperature of the GPU."),
            ("share_ratio", "share", "ratio", "Share of the GPU that the job holds (0-1)."),
        )
    ),
    *(
        counter("job_gpu", f"hpc_job_gpu_device_{name}_total", column, unit, help, _of_gpu(value))
        for name, column, unit, help, value in (
            (
                *(
                    "held_seconds",
                    "known_s",
                    "seconds",
                    "Time that the job held the GPU, by share.",
                ),
                _HELD_S,
            ),
            (
                *("busy_seconds", "busy_s", "seconds"),
                "Of the time held, that with a kernel running.",
                _BUSY_S,
            ),
            (
                *("energy_joules", "energy_j", "joules", "The job's share of the energy used."),
                "energy_j * share",
            ),
        )
    ),
]

_GPU = [
    info(
        "gpu",
        "hpc_gpu_info",
        "1 for each GPU; parent_gpu is the device of a MIG instance.",
        _of_gpu("1"),
        *("model", "parent_gpu"),
    ),
    counter(
        "gpu",
        "hpc_gpu_sampled_seconds_total",
        "known_s",
        "seconds",
        "Time that the GPU's samples cover.",
        _of_gpu(_HELD_S),
    ),
    counter(
        "gpu",
        "hpc_gpu_busy_seconds_total",
        "busy_s",
        "seconds",
        "Time with a kernel running.",
        _of_gpu(_BUSY_S),
    ),
    *sampled(
        "gpu",
        "hpc_gpu_",
        *("utilization_ratio", "memory_utilization_ratio", "sm_active_ratio"),
        *("sm_occupancy_ratio", "tensor_active_ratio", "dram_active_ratio", "encoder_ratio"),
        *("decoder_ratio", "memory_used_bytes", "memory_total_bytes", "power_w", "power_limit_w"),
        *("temperature_celsius", "memory_temperature_celsius", "sm_clock_hz", "memory_clock_hz"),
        *("fan_ratio", "energy_j", "ecc_corrected_errors", "ecc_uncorrected_errors", "xid_errors"),
        *("throttled_power_s", "throttled_thermal_s"),
        renamed={
            "pcie_rx_bytes": "pcie_receive_bytes",
            "pcie_tx_bytes": "pcie_transmit_bytes",
            "nvlink_rx_bytes": "nvlink_receive_bytes",
            "nvlink_tx_bytes": "nvlink_transmit_bytes",
        },
    ),
]

# A kernel without one of the rarer modes spends no time in it.
_NODE_BUSY_S = (
    "(cpu_user_s + cpu_system_s + zero(cpu_nice_s) + zero(cpu_irq_s)"
    " + zero(cpu_softirq_s) + zero(cpu_steal_s))"
)
_CPU_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")

_NODE = [
    info("node", "hpc_node_info", "1 for each node.", _of_node("1"), "agent_version"),
    gauge(
        "node",
        "hpc_node_cpu_usage_percent",
        "cpu_usage_ratio",
        "percent",
        "CPU time in the newest interval that was not idle (0-100).",
        _of_node(f"{_NODE_BUSY_S} / ({_NODE_BUSY_S} + cpu_idle_s + zero(cpu_iowait_s))"),
    ),
    gauge(
        "node",
        "hpc_node_memory_usage_bytes",
        "memory_used_bytes",
        "bytes",
        "Memory that new work could not have: total less available.",
        _of_node("memory_total_bytes - memory_available_bytes"),
    ),
    gauge(
        "node",
        "hpc_node_gpu_usage_percent",
        "gpu_utilization_ratio",
        "percent",
        "Mean utilisation of the node's GPUs (0-100).",
        _of_gpu("utilization_ratio", weight="share"),
    ),
    gauge("node", "hpc_node_jobs", "jobs", "", "Running jobs that are sampled on the node."),
    gauge(
        "node",
        "hpc_node_last_sample_timestamp_seconds",
        "last_sample_s",
        "seconds",
        "End of the newest interval sampled, as Unix time.",
        _of_node(TIME),
    ),
    counter(
        "node",
        "hpc_node_sampled_seconds_total",
        "known_s",
        "seconds",
        "Time that the node's samples cover.",
        _of_node("interval_s"),
    ),
    split(
        "node",
        "hpc_node_cpu_seconds_total",
        "seconds",
        "CPU time by mode.",
        "mode",
        {mode: f"cpu_{mode}_s" for mode in _CPU_MODES},
    ),
    split(
        "node",
        "hpc_node_energy_joules_total",
        "joules",
        "Energy by domain: CPU packages, memory, the whole machine.",
        "domain",
        {domain: f"energy_{domain}_j" for domain in ("package", "dram", "platform")},
    ),
    *sampled(
        "node",
        "hpc_node_",
        *("network_receive_bytes", "network_transmit_bytes", "network_receive_packets"),
        *("network_transmit_packets", "network_receive_errors", "network_transmit_errors"),
        *("disk_read_bytes", "disk_write_bytes", "cpu_pressure_some_s", "memory_pressure_some_s"),
        *("memory_pressure_full_s", "io_pressure_some_s", "io_pressure_full_s"),
        *("energy_unattributed_j", "memory_available_bytes", "memory_free_bytes"),
        *("memory_cached_bytes", "memory_buffers_bytes", "swap_total_bytes", "swap_free_bytes"),
        *("load5", "load15", "processes_running", "processes", "power_w"),
        renamed={
            "memory_total_bytes": "total_memory_bytes",
            "cpus": "total_cpus",
            "load1": "cpu_load",
        },
    ),
]

_SERVICE = [
    gauge("job_state", "hpc_jobs", "jobs", "", "Jobs by state."),
    counter("service", "hpc_job_total", "jobs_ever", "", "Jobs that were ever seen."),
    gauge(
        "service",
        "hpc_exporter_last_collect_timestamp_seconds",
        "last_collect_s",
        "seconds",
        "When anything was last sampled, as Unix time.",
    ),
]

CATALOGUE: tuple[Metric, ...] = (*_JOB, *_JOB_GPU, *_GPU, *_NODE, *_SERVICE)

# Names of an older system that promtool objects to, for panels that ask for them (the setting
# seed_metric_names).
SEED_NAMES: tuple[Metric, ...] = tuple(
    renamed(metric, older)
    for metric in CATALOGUE
    for name, older in (
        ("hpc_node_jobs", "hpc_node_job_count"),
        ("hpc_jobs", "hpc_job_state_total"),
    )
    if metric.name == name
)


def of_relation(relation: str) -> tuple[Metric, ...]:
    """The metrics that are read from one relation."""
    return tuple(metric for metric in CATALOGUE if metric.relation == relation)
