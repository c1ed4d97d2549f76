"""Jobs as JSON: zero is there, null is not."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

from tsobs.jobs.jobobject import gpu_object, job_object, node_object, present

START = datetime(2026, 1, 31, 12, tzinfo=UTC)


def row(**values: Any) -> defaultdict[str, Any]:
    """A record of which everything else is null."""
    return defaultdict(lambda: None, values)


def job(**values: Any) -> defaultdict[str, Any]:
    given = {"job_id": "123", "job_key": 7, "cluster": "alpha", "scheduler": "slurm", "run": 0}
    return row(**{**given, "state": "running", "read_at": START + timedelta(hours=2), **values})


def usage(**values: Any) -> defaultdict[str, Any]:
    return row(**{"sample_count": 4, "sampled_nodes": ["n1"], **values})


def test_present() -> None:
    assert present({"a": 0, "b": None, "c": "", "d": False}) == {"a": 0, "c": "", "d": False}


def test_a_job_of_which_nothing_is_known() -> None:
    assert job_object(job(), None, None) == {
        "id": "123",
        "key": 7,
        "exact_id": "alpha:123.r0.0",
        "cluster": "alpha",
        "cluster_name": "alpha",
        "run": 0,
        "nodes": [],
        "state": "running",
        "sample_count": 0,
        "scheduler": {"type": "slurm", "external_job_id": "123"},
    }


def test_times_and_nodes() -> None:
    told = job_object(job(start_at=START, nodes=["n1", "n2"]), None, None)
    assert (told["runtime_seconds"], told["node_count"]) == (7200.0, 2)
    ended = job(start_at=START, end_at=START + timedelta(seconds=90), state="failed")
    assert job_object(ended, None, None)["runtime_seconds"] == 90.0
    pending = job_object(job(state="pending"), None, None)
    assert "runtime_seconds" not in pending
    assert job_object(job(), usage(), None)["nodes"] == ["n1"]


def test_zero_use_is_there_and_unknown_use_is_not() -> None:
    idle = usage(
        cpu_user_s=0.0,
        cpu_system_s=0.0,
        cpu_capacity_s=100.0,
        cpu_in_capacity_s=0.0,
        cpu_usage_ratio=0.0,
    )
    told = job_object(job(), idle, None)
    assert (told["cpu_usage"], told["avg_cpu_usage"], told["cpu_seconds"]) == (0.0, 0.0, 0.0)
    assert "memory_usage_mb" not in told
    assert "gpu_usage" not in told


def test_means_divide_by_what_was_known() -> None:
    used = usage(
        cpu_user_s=30.0,
        cpu_system_s=10.0,
        cpu_capacity_s=160.0,
        cpu_in_capacity_s=40.0,
        oom_kills=0.0,
    )
    told = job_object(job(oom_killed=False), used, None)
    assert told["avg_cpu_usage"] == 25.0
    assert told["oom_killed"] is False
    assert repr(told["oom_kills"]) == "0"


def test_gpus() -> None:
    gpu = row(gpus=2, busy_s=30.0, busy_known_s=120.0, held_s=120.0, utilization_ratio_max=1.0)
    told = job_object(job(), usage(), gpu)
    assert (told["gpu_count"], told["avg_gpu_usage"], told["max_gpu_usage"]) == (2, 25.0, 100.0)


def test_what_the_scheduler_told() -> None:
    told = job_object(job(raw_state="TIMEOUT", time_limit_s=3600.0, exit_code=0), None, None)
    assert told["scheduler"]["time_limit_minutes"] == 60
    assert told["scheduler"]["exit_code"] == 0
    assert told["exit_code"] == 0


def test_a_partly_known_job_says_so() -> None:
    ended = job(state="completed", start_at=START, end_at=START + timedelta(seconds=100))
    half = usage(cpu_known_s=50.0, cpu_capacity_s=200.0, cpu_user_s=1.0)
    assert job_object(ended, half, None)["coverage"] == 0.5


def test_a_node_and_a_gpu() -> None:
    node = node_object(row(node="n1", sample_count=1, memory_used_byte_s=10.0, memory_known_s=4.0))
    assert node == {"node": "n1", "sample_count": 1, "avg_memory_used_bytes": 2.5}
    gpu = gpu_object(row(node="n1", gpu="GPU-1", share=0.5, utilization_ratio=0.0))
    assert gpu == {"node": "n1", "gpu_id": "GPU-1", "share": 0.5, "gpu_usage": 0.0}
