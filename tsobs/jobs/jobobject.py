"""Rows as the JSON objects of the REST API: zero is a value and present, null is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tsobs.jobs.coverage import coverage
from tsobs.jobs.jobref import exact_id
from tsobs.jobs.quantities import (
    mebibytes,
    percent,
    ratio_of,
    seconds_between,
    total,
    whole,
)
from tsobs.row import Row

__all__ = ["gpu_object", "job_object", "node_object", "present", "reported_object"]


def present(values: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that are known."""
    return {name: value for name, value in values.items() if value is not None}


def job_object(
    job: Row, usage: Row | None, gpu: Row | None, reported: Row | None = None
) -> dict[str, Any]:
    """A job with what it used so far; `usage` and `gpu` are None when nothing was sampled, and
    `reported` is what clients posted of a job that was not."""
    return present(
        {
            **_identity(job, usage),
            **_allocation(job),
            **(_usage(job, usage) if usage else {"sample_count": 0}),
            **(_gpu_usage(gpu) if gpu else {}),
            **(_reported_usage(reported) if reported else {}),
            "coverage": coverage(job, usage, gpu) if usage else None,
            "scheduler": _scheduler(job),
        }
    )


def _identity(job: Row, usage: Row | None) -> dict[str, Any]:
    nodes = job["nodes"] or (usage["sampled_nodes"] if usage else [])
    ended = job["end_at"] or (job["read_at"] if job["state"] == "running" else None)
    names = ("array_job_id", "array_task_id", "het_job_id", "het_offset", "restart_count", "run")
    return {
        "id": job["job_id"],
        "key": job["job_key"],
        "exact_id": exact_id(job["cluster"], job["job_id"], job["restart_count"], job["run"]),
        "cluster": job["cluster"],
        "cluster_name": job["cluster"],
        **{name: job[name] for name in names},
        "name": job["name"],
        "user": job["user_name"],
        "account": job["account"],
        "partition": job["partition"],
        "qos": job["qos"],
        "nodes": nodes,
        "node_count": len(nodes) or None,
        "state": job["state"],
        "state_reason": job["state_reason"],
        "submit_time": job["submit_at"],
        "start_time": job["start_at"],
        "end_time": job["end_at"],
        "runtime_seconds": seconds_between(job["start_at"], ended),
        "exit_code": job["exit_code"],
        "signal": job["signal"],
        "oom_killed": job["oom_killed"],
        "scheduler_instance": job["scheduler_instance"],
        "ingest_version": job["ingest_version"],
    }


def _allocation(job: Row) -> dict[str, Any]:
    return {
        "requested_cpus": whole(job["requested_cpus"]),
        "allocated_cpus": whole(job["allocated_cpus"]),
        "requested_memory_mb": mebibytes(job["requested_memory_bytes"]),
        "allocated_memory_mb": mebibytes(job["allocated_memory_bytes"]),
        "requested_memory_bytes": job["requested_memory_bytes"],
        "allocated_memory_bytes": job["allocated_memory_bytes"],
        "requested_gpus": whole(job["requested_gpus"]),
        "allocated_gpus": whole(job["allocated_gpus"]),
        "gpu_vendor": job["gpu_vendor"],
        "gpu_devices": job["gpu_devices"],
    }


def _scheduler(job: Row) -> dict[str, Any]:
    limit_s = job["time_limit_s"]
    return present(
        {
            "type": job["scheduler"],
            "external_job_id": job["job_id"],
            "raw_state": job["raw_state"],
            "state_reason": job["state_reason"],
            "submit_time": job["submit_at"],
            "partition": job["partition"],
            "account": job["account"],
            "qos": job["qos"],
            "priority": job["priority"],
            "exit_code": job["exit_code"],
            "time_limit_minutes": None if limit_s is None else round(limit_s / 60),
            "time_limit_seconds": limit_s,
        }
    )


def _usage(job: Row, usage: Row) -> dict[str, Any]:
    cpu_s = total(usage["cpu_user_s"], usage["cpu_system_s"])
    return {
        "sample_count": usage["sample_count"],
        "first_sample_at": usage["first_sample_at"],
        "last_sample_at": usage["last_sample_at"],
        "cpu_usage": percent(usage["cpu_usage_ratio"]),
        "avg_cpu_usage": percent(ratio_of(usage["cpu_in_capacity_s"], usage["cpu_capacity_s"])),
        "max_cpu_usage": percent(usage["cpu_usage_ratio_max"]),
        "cpu_seconds": cpu_s,
        "cpu_user_seconds": usage["cpu_user_s"],
        "cpu_system_seconds": usage["cpu_system_s"],
        "memory_usage_mb": mebibytes(usage["memory_used_bytes"]),
        "memory_used_bytes": usage["memory_used_bytes"],
        "avg_memory_used_bytes": usage["memory_used_bytes_mean"],
        "max_memory_usage_mb": mebibytes(usage["memory_used_bytes_max"]),
        "max_memory_used_bytes": usage["memory_used_bytes_max"],
        "max_memory_rss_bytes": usage["memory_rss_bytes_max"],
        "memory_limit_hits": whole(usage["memory_limit_hits"]),
        "oom_kills": whole(usage["oom_kills"]),
        "io_read_bytes": usage["io_read_bytes"],
        "io_write_bytes": usage["io_write_bytes"],
        "energy_joules": usage["energy_j"],
    }


def _reported_usage(reported: Row) -> dict[str, Any]:
    return {
        "sample_count": reported["sample_count"],
        "first_sample_at": reported["first_sample_at"],
        "last_sample_at": reported["last_sample_at"],
        "cpu_usage": percent(reported["cpu_usage_ratio"]),
        "avg_cpu_usage": percent(reported["cpu_usage_ratio_mean"]),
        "max_cpu_usage": percent(reported["cpu_usage_ratio_max"]),
        "memory_usage_mb": mebibytes(reported["memory_used_bytes"]),
        "memory_used_bytes": reported["memory_used_bytes"],
        "avg_memory_used_bytes": reported["memory_used_bytes_mean"],
        "max_memory_usage_mb": mebibytes(reported["memory_used_bytes_max"]),
        "max_memory_used_bytes": reported["memory_used_bytes_max"],
        "gpu_usage": percent(reported["gpu_usage_ratio"]),
        "avg_gpu_usage": percent(reported["gpu_usage_ratio_mean"]),
        "max_gpu_usage": percent(reported["gpu_usage_ratio_max"]),
    }


def reported_object(row: Row) -> dict[str, Any]:
    """One sample that a client posted."""
    return present(
        {
            "timestamp": row["time"],
            "cpu_usage": percent(row["cpu_usage_ratio"]),
            "memory_usage_mb": mebibytes(row["memory_used_bytes"]),
            "gpu_usage": percent(row["gpu_usage_ratio"]),
        }
    )


def _gpu_usage(gpu: Row) -> dict[str, Any]:
    return {
        "gpu_count": gpu["gpus"],
        "gpu_usage": percent(gpu["utilization_ratio"]),
        "avg_gpu_usage": percent(ratio_of(gpu["busy_s"], gpu["busy_known_s"])),
        "max_gpu_usage": percent(gpu["utilization_ratio_max"]),
        "gpu_seconds": gpu["held_s"],
        "gpu_memory_used_bytes": gpu["memory_used_bytes"],
        "max_gpu_memory_used_bytes": gpu["memory_used_bytes_max"],
        "gpu_energy_joules": gpu["energy_j"],
    }


def node_object(row: Row) -> dict[str, Any]:
    """What a job used on one of its nodes."""
    cpu_s = total(row["cpu_user_s"], row["cpu_system_s"])
    return present(
        {
            "node": row["node"],
            "sample_count": row["sample_count"],
            "first_sample_at": row["first_sample_at"],
            "last_sample_at": row["last_sample_at"],
            "gone_at": row["gone_at"],
            "allocated_cpus": row["allocated_cpus"] or row["cpus_allocated"],
            "allocated_memory_bytes": row["allocated_memory_bytes"],
            "cpu_usage": percent(row["cpu_usage_ratio"]),
            "avg_cpu_usage": percent(ratio_of(row["cpu_in_capacity_s"], row["cpu_capacity_s"])),
            "max_cpu_usage": percent(row["cpu_usage_ratio_max"]),
            "cpu_seconds": cpu_s,
            "cpu_user_seconds": row["cpu_user_s"],
            "cpu_system_seconds": row["cpu_system_s"],
            "cpu_throttled_seconds": row["cpu_throttled_s"],
            "memory_used_bytes": row["memory_used_bytes"],
            "memory_rss_bytes": row["memory_rss_bytes"],
            "memory_cache_bytes": row["memory_cache_bytes"],
            "memory_limit_bytes": row["memory_limit_bytes"],
            "memory_peak_bytes": row["memory_peak_bytes"],
            "avg_memory_used_bytes": ratio_of(row["memory_used_byte_s"], row["memory_known_s"]),
            "max_memory_used_bytes": row["memory_used_bytes_max"],
            "max_memory_rss_bytes": row["memory_rss_bytes_max"],
            "memory_limit_hits": whole(row["memory_limit_hits"]),
            "oom_kills": whole(row["oom_kills"]),
            "io_read_bytes": row["io_read_bytes"],
            "io_write_bytes": row["io_write_bytes"],
            "energy_joules": row["energy_j"],
            "processes": whole(row["processes"]),
            "threads": whole(row["threads"]),
        }
    )


def gpu_object(row: Row) -> dict[str, Any]:
    """What a job used of one GPU."""
    return present(
        {
            "node": row["node"],
            "gpu_id": row["gpu"],
            "vendor": row["vendor"],
            "model": row["model"],
            "share": row["share"],
            "sample_count": row["sample_count"],
            "last_sample_at": row["last_sample_at"],
            "gpu_seconds": row["known_s"],
            "gpu_usage": percent(row["utilization_ratio"]),
            "avg_gpu_usage": percent(ratio_of(row["busy_s"], row["busy_known_s"])),
            "max_gpu_usage": percent(row["utilization_ratio_max"]),
            "memory_used_bytes": row["memory_used_bytes"],
            "max_memory_used_bytes": row["memory_used_bytes_max"],
            "power_watts": row["power_w"],
            "temperature_celsius": row["temperature_celsius"],
            "energy_joules": row["energy_j"],
        }
    )
