"""The JSON objects of a job as JSON schemas: the fields that there are, and no others."""

from __future__ import annotations

from typing import Any

__all__ = ["DETAIL_FIELDS", "GPU_FIELDS", "JOB_FIELDS", "NODE_FIELDS", "SCHEDULER_FIELDS"]

Schema = dict[str, Any]


def _text(help: str) -> Schema:
    return {"type": "string", "description": help}


def _time(help: str) -> Schema:
    return {"type": "string", "format": "date-time", "description": help}


def _integer(help: str, low: int | None = 0) -> Schema:
    return {"type": "integer", "description": help} | ({} if low is None else {"minimum": low})


def _number(help: str) -> Schema:
    return {"type": "number", "minimum": 0, "description": help}


def _texts(help: str) -> Schema:
    return {"type": "array", "items": {"type": "string"}, "description": help}


SCHEDULER_FIELDS: dict[str, Schema] = {
    "type": _text("slurm, pbs, lsf, local or mock"),
    "external_job_id": _text("the scheduler's id"),
    "raw_state": _text("the state in the scheduler's words"),
    "state_reason": _text("why it is in its state"),
    "submit_time": _time("when it was submitted"),
    "partition": _text("partition or queue"),
    "account": _text("who pays"),
    "qos": _text("quality of service"),
    "priority": _integer("as the scheduler counts it", None),
    "exit_code": _integer("exit code", None),
    "time_limit_minutes": _integer("time limit, in whole minutes"),
    "time_limit_seconds": _number("time limit"),
}

_IDENTITY: dict[str, Schema] = {
    "id": _text("the scheduler's id"),
    "key": _integer("our own number of this run", 1),
    "exact_id": _text("the id that means this very run for ever"),
    "cluster": _text("cluster"),
    "cluster_name": _text("the same, for older clients"),
    "array_job_id": _text("the array that it is a task of"),
    "array_task_id": _text("its number in the array"),
    "het_job_id": _text("the heterogeneous job that it is a component of"),
    "het_offset": _integer("its number in the heterogeneous job"),
    "restart_count": _integer("how often it had been requeued"),
    "run": _integer("tells reuses of one id apart"),
    "name": _text("job name"),
    "user": _text("user"),
    "account": _text("account"),
    "partition": _text("partition"),
    "qos": _text("quality of service"),
    "nodes": _texts("nodes, as told, else as sampled"),
    "node_count": _integer("how many"),
    "state": {
        "enum": ["pending", "running", "completed", "failed", "cancelled", "unknown"],
        "description": "unknown: nobody told how it ended",
    },
    "state_reason": _text("why it is in its state"),
    "submit_time": _time("when it was submitted"),
    "start_time": _time("when it started"),
    "end_time": _time("when it ended"),
    "runtime_seconds": _number("from its start to its end, or until now"),
    "exit_code": _integer("exit code", None),
    "signal": _integer("the signal that ended it"),
    "oom_killed": {"type": "boolean", "description": "whether the kernel killed it for memory"},
    "scheduler_instance": _text("what announced it first"),
    "ingest_version": _text("in which form"),
}
_ALLOCATION: dict[str, Schema] = {
    "requested_cpus": _number("CPUs asked for"),
    "allocated_cpus": _number("CPUs given"),
    "requested_memory_mb": _integer("memory asked for, MiB"),
    "allocated_memory_mb": _integer("memory given, MiB"),
    "requested_memory_bytes": _integer("memory asked for"),
    "allocated_memory_bytes": _integer("memory given"),
    "requested_gpus": _number("GPUs asked for"),
    "allocated_gpus": _number("GPUs given"),
    "gpu_vendor": _text("nvidia, amd, mixed or none"),
    "gpu_devices": _texts("ids of the GPUs given"),
}
_USAGE: dict[str, Schema] = {
    "sample_count": _integer("how many samples tell of it"),
    "first_sample_at": _time("the first of them"),
    "last_sample_at": _time("the newest"),
    "cpu_usage": _number("percent of the CPUs given, in the newest interval"),
    "avg_cpu_usage": _number("percent, over all the time for which it is known"),
    "max_cpu_usage": _number("percent, the highest interval of any one node"),
    "cpu_seconds": _number("CPU time used"),
    "cpu_user_seconds": _number("of it in user mode"),
    "cpu_system_seconds": _number("of it in the kernel"),
    "memory_usage_mb": _integer("memory in use, page cache included, MiB"),
    "memory_used_bytes": _number("the same"),
    "avg_memory_used_bytes": _number("mean, all nodes together"),
    "max_memory_usage_mb": _integer("sum of each node's highest, MiB"),
    "max_memory_used_bytes": _number("the same"),
    "max_memory_rss_bytes": _number("without page cache"),
    "memory_limit_hits": _number("how often it ran into its limit"),
    "oom_kills": _number("processes that the kernel killed for memory"),
    "io_read_bytes": _number("read from block devices"),
    "io_write_bytes": _number("written to block devices"),
    "energy_joules": _number("energy of the hosts, without GPUs"),
    "gpu_count": _integer("GPUs sampled"),
    "gpu_seconds": _number("time on GPUs × share held"),
    "gpu_usage": _number("percent, mean over its GPUs by the share held"),
    "avg_gpu_usage": _number("percent, over all the time for which it is known"),
    "max_gpu_usage": _number("percent, the highest of any one GPU"),
    "gpu_memory_used_bytes": _number("GPU memory in use"),
    "max_gpu_memory_used_bytes": _number("sum of each GPU's highest"),
    "gpu_energy_joules": _number("energy of its GPUs, by the share held"),
    "coverage": _number("only when below 0.95: share of its time for which means are known"),
}

JOB_FIELDS: dict[str, Schema] = (
    _IDENTITY
    | _ALLOCATION
    | _USAGE
    | {
        "scheduler": {
            "type": "object",
            "properties": SCHEDULER_FIELDS,
            "additionalProperties": False,
            "description": "what the scheduler told, in its words",
        }
    }
)

NODE_FIELDS: dict[str, Schema] = {
    "node": _text("node"),
    **{name: _USAGE[name] for name in ("sample_count", "first_sample_at", "last_sample_at")},
    "gone_at": _time("when its cgroup had gone"),
    **{name: _ALLOCATION[name] for name in ("allocated_cpus", "allocated_memory_bytes")},
    **{name: _USAGE[name] for name in ("cpu_usage", "avg_cpu_usage", "max_cpu_usage")},
    **{name: _USAGE[name] for name in ("cpu_seconds", "cpu_user_seconds", "cpu_system_seconds")},
    "cpu_throttled_seconds": _number("time in which it was held back"),
    "memory_used_bytes": _USAGE["memory_used_bytes"],
    "memory_rss_bytes": _number("without page cache"),
    "memory_cache_bytes": _number("page cache"),
    "memory_limit_bytes": _number("its limit"),
    "memory_peak_bytes": _number("the kernel's own peak"),
    "avg_memory_used_bytes": _USAGE["avg_memory_used_bytes"],
    "max_memory_used_bytes": _number("the highest sample"),
    "max_memory_rss_bytes": _number("the highest sample, without page cache"),
    **{name: _USAGE[name] for name in ("memory_limit_hits", "oom_kills")},
    **{name: _USAGE[name] for name in ("io_read_bytes", "io_write_bytes", "energy_joules")},
    "processes": _number("processes"),
    "threads": _number("threads"),
}
GPU_FIELDS: dict[str, Schema] = {
    "node": _text("node"),
    "gpu_id": _text("the GPU's own id"),
    "vendor": _text("nvidia or amd"),
    "model": _text("model"),
    "share": _number("the share of the GPU that the job holds"),
    **{name: _USAGE[name] for name in ("sample_count", "last_sample_at", "gpu_seconds")},
    **{name: _USAGE[name] for name in ("gpu_usage", "avg_gpu_usage", "max_gpu_usage")},
    "memory_used_bytes": _USAGE["gpu_memory_used_bytes"],
    "max_memory_used_bytes": _number("the highest sample"),
    "power_watts": _number("power drawn"),
    "temperature_celsius": {"type": "number", "description": "temperature"},
    "energy_joules": _USAGE["gpu_energy_joules"],
}


def _objects(fields: dict[str, Schema], help: str) -> Schema:
    items = {"type": "object", "properties": fields, "additionalProperties": False}
    return {"type": "array", "items": items, "description": help}


DETAIL_FIELDS: dict[str, Schema] = JOB_FIELDS | {
    "per_node": _objects(NODE_FIELDS, "what it used on each node"),
    "per_gpu": _objects(GPU_FIELDS, "what it used of each GPU"),
}
