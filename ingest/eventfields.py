"""The fields of job-started and job-finished: handlers read by them, and OpenAPI tells them."""

from __future__ import annotations

from ingest.fields import Field

__all__ = ["ENDS", "FINISHED", "REASONS", "STARTED"]

ENDS = ("completed", "failed", "cancelled")
REASONS = frozenset(
    {"out_of_memory", "timeout", "node_fail", "boot_fail", "deadline", "preempted", "revoked"}
    | {"suspended", "exit_code", "signal", "requeued"}
)

# Fields of both events, as they arrive: the job's column (None: used otherwise) and the kind of
# value.
_COMMON = (
    Field("job_id", None, "name", required=True),
    Field("timestamp", None, "time", required=True),
    Field("cluster", None, "name"),
    Field("scheduler", None, "word"),
    Field("restart_count", None, "count"),
    Field("source", None, "text"),
    Field("node", None, "text"),
    Field("name", "name", "text"),
    Field("qos", "qos", "text"),
    Field("account", "account", "text"),
    Field("partition", "partition", "text"),
    Field("array_job_id", "array_job_id", "text"),
    Field("array_task_id", "array_task_id", "text"),
    Field("het_job_id", "het_job_id", "text"),
    Field("het_offset", "het_offset", "count"),
    Field("submit_time", "submit_at", "time"),
    Field("start_time", "start_at", "time"),
    Field("end_time", "end_at", "time"),
    Field("time_limit_s", "time_limit_s", "number"),
    Field("raw_state", "raw_state", "text"),
    Field("state_reason", "state_reason", "text"),
    Field("oom_killed", "oom_killed", "boolean"),
    Field("nodes_alloc", "nodes_alloc", "allocations"),
)
STARTED = (
    *_COMMON,
    Field("user", "user_name", "name", required=True),
    Field("node_list", "nodes", "texts", required=True),
    Field("cpu_allocation", "allocated_cpus", "number"),
    Field("memory_allocation_mb", "allocated_memory_bytes", "mebibytes"),
    Field("gpu_allocation", "allocated_gpus", "number"),
    Field("gpu_vendor", "gpu_vendor", "text"),
    Field("gpu_devices", "gpu_devices", "texts"),
    Field("cgroup_path", "cgroup_path", "text"),
)
FINISHED = (
    *_COMMON,
    Field("final_state", None, "text", required=True),
    # For those of which no start is ever told: cancelled while pending.
    Field("user", "user_name", "name"),
    Field("node_list", "nodes", "texts"),
    Field("exit_code", "exit_code", "integer"),
    Field("signal", "signal", "count"),
    Field("derived_exit_code", "derived_exit_code", "integer"),
)
