"""All collectors, in the order in which they run: one file a subject."""

from __future__ import annotations

from nodeagent.collector import JobCollector, NodeCollector
from nodeagent.collectors import (
    job_cpu,
    job_cpuset,
    job_io,
    job_memory,
    job_memory_use,
    job_oom,
    job_pressure,
    job_processes,
    node_cpu,
    node_disk,
    node_load,
    node_memory,
    node_network,
    node_pressure,
)

__all__ = ["COLLECTOR_NAMES", "JOB_COLLECTORS", "NODE_COLLECTORS"]

JOB_COLLECTORS: tuple[JobCollector, ...] = (
    job_cpu.COLLECTOR,
    job_memory_use.COLLECTOR,
    job_oom.COLLECTOR,
    job_memory.COLLECTOR,
    job_cpuset.COLLECTOR,
    job_processes.COLLECTOR,
    job_pressure.COLLECTOR,
    job_io.COLLECTOR,
)

NODE_COLLECTORS: tuple[NodeCollector, ...] = (
    node_cpu.COLLECTOR,
    node_memory.COLLECTOR,
    node_load.COLLECTOR,
    node_network.COLLECTOR,
    node_disk.COLLECTOR,
    node_pressure.COLLECTOR,
)

COLLECTOR_NAMES: dict[str, str] = {
    **{collector.name: collector.help for collector in JOB_COLLECTORS},
    **{collector.name: collector.help for collector in NODE_COLLECTORS},
    "gpu": "GPUs (NVML, nvidia-smi, amd-smi, rocm-smi)",
}
"""Name → what it reads, for the switches and their help."""
