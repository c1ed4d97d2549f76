"""GET /v1/jobs/{id}: a job over all its nodes, worked out by hand, and on each of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.query.conftest import Asker
from tests.integration.query.site import Site

MIB = 1_048_576


async def finished(site: Site) -> int:
    """A job that ran 100 s on two nodes: 4 CPUs on n1, 2 on n2, and one half of a GPU there."""
    job = await site.job(
        "42", state="failed", state_reason="out_of_memory", oom_killed=True, exit_code=137,
        signal=9, name="train", account="physics", partition="gpu", qos="high", priority=7,
        nodes=["n1", "n2"], requested_cpus=6.0, allocated_cpus=6.0, allocated_gpus=0.5,
        requested_memory_bytes=64 * MIB, allocated_memory_bytes=64 * MIB, time_limit_s=3600.0,
        submit_at=site.at(-200), start_at=site.at(-100), end_at=site.now, raw_state="OUT_OF_MEMORY",
    )  # fmt: skip
    n1, n2 = await site.node("n1"), await site.node("n2")
    await site.job_node(
        job, n1, sample_count=7, cpu_known_s=100.0, cpu_capacity_s=400.0, cpu_in_capacity_s=200.0,
        memory_known_s=100.0,
        cpu_user_s=180.0, cpu_system_s=20.0, cpu_usage_ratio=0.75, cpu_usage_ratio_max=0.8,
        cpus_allocated=4.0, memory_used_byte_s=100 * 8.0 * MIB, memory_used_bytes=10.0 * MIB,
        memory_used_bytes_max=16.0 * MIB, oom_kills=1.0, energy_j=500.0,
    )  # fmt: skip
    await site.job_node(
        job, n2, sample_count=6, cpu_known_s=96.0, cpu_capacity_s=192.0, cpu_in_capacity_s=0.0,
        memory_known_s=96.0,
        cpu_user_s=0.0, cpu_system_s=0.0, cpu_usage_ratio=0.0, cpu_usage_ratio_max=0.1,
        cpus_allocated=2.0, memory_used_byte_s=96 * 2.0 * MIB, memory_used_bytes=2.0 * MIB,
        memory_used_bytes_max=4.0 * MIB, oom_kills=0.0,
    )  # fmt: skip
    gpu = await site.gpu(n2, model="H200")
    await site.job_gpu(
        job, gpu, n2, share=0.5, sample_count=6, known_s=48.0, busy_known_s=48.0, busy_s=12.0,
        utilization_ratio=0.5, utilization_ratio_max=0.9, memory_used_bytes=3.0 * MIB,
        memory_used_bytes_max=5.0 * MIB, energy_j=1000.0,
    )  # fmt: skip
    return job


async def test_a_job_over_all_its_nodes(site: Site, ask: Asker) -> None:
    key = await finished(site)
    job = (await ask("/v1/jobs/42")).json
    del job["per_node"], job["per_gpu"]
    assert job == told(site, key) | used(site)


def told(site: Site, key: int) -> dict[str, Any]:
    """What events and the scheduler said."""
    return {
        "id": "42",
        "key": key,
        "exact_id": "alpha:42.r0.0",
        "cluster": "alpha",
        "cluster_name": "alpha",
        "restart_count": 0,
        "run": 0,
        "name": "train",
        "user": "alice",
        "account": "physics",
        "partition": "gpu",
        "qos": "high",
        "nodes": ["n1", "n2"],
        "node_count": 2,
        "state": "failed",
        "state_reason": "out_of_memory",
        "submit_time": _z(site, -200),
        "start_time": _z(site, -100),
        "end_time": _z(site, 0),
        "runtime_seconds": 100.0,
        "exit_code": 137,
        "signal": 9,
        "oom_killed": True,
        "requested_cpus": 6,
        "allocated_cpus": 6,
        "requested_memory_mb": 64,
        "allocated_memory_mb": 64,
        "requested_memory_bytes": 64 * MIB,
        "allocated_memory_bytes": 64 * MIB,
        "allocated_gpus": 0.5,
        "scheduler": {
            "type": "slurm",
            "external_job_id": "42",
            "raw_state": "OUT_OF_MEMORY",
            "state_reason": "out_of_memory",
            "submit_time": _z(site, -200),
            "partition": "gpu",
            "account": "physics",
            "qos": "high",
            "priority": 7,
            "exit_code": 137,
            "time_limit_minutes": 60,
            "time_limit_seconds": 3600.0,
        },
    }


def used(site: Site) -> dict[str, Any]:
    """What the two nodes and the half GPU make together."""
    return {
        "sample_count": 13,
        "first_sample_at": _z(site, -3585),
        "last_sample_at": _z(site, 0),
        "cpu_usage": 50.0,  # (0.75 × 4 + 0 × 2) / 6
        "avg_cpu_usage": pytest.approx(100 * 200 / 592),
        "max_cpu_usage": 80.0,
        "cpu_seconds": 200.0,
        "cpu_user_seconds": 180.0,
        "cpu_system_seconds": 20.0,
        "memory_usage_mb": 12,
        "memory_used_bytes": 12.0 * MIB,
        "avg_memory_used_bytes": 10.0 * MIB,
        "max_memory_usage_mb": 20,
        "max_memory_used_bytes": 20.0 * MIB,
        "oom_kills": 1,
        "energy_joules": 500.0,
        "gpu_count": 1,
        "gpu_usage": 50.0,
        "avg_gpu_usage": 25.0,
        "max_gpu_usage": 90.0,
        "gpu_seconds": 48.0,
        "gpu_memory_used_bytes": 3.0 * MIB,
        "max_gpu_memory_used_bytes": 5.0 * MIB,
        "gpu_energy_joules": 1000.0,
    }


def _z(site: Site, seconds: float) -> str:
    return site.at(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_each_node_and_gpu(site: Site, ask: Asker) -> None:
    await finished(site)
    job = (await ask("/v1/jobs/42")).json
    assert [node["node"] for node in job["per_node"]] == ["n1", "n2"]
    assert [node["avg_cpu_usage"] for node in job["per_node"]] == [50.0, 0.0]
    assert [node["oom_kills"] for node in job["per_node"]] == [1, 0]
    assert "energy_joules" not in job["per_node"][1]
    [gpu] = job["per_gpu"]
    assert (gpu["gpu_id"], gpu["node"], gpu["share"]) == ("GPU-1", "n2", 0.5)
    assert (gpu["avg_gpu_usage"], gpu["gpu_seconds"]) == (25.0, 48.0)


async def test_the_list_has_the_same_objects(site: Site, ask: Asker) -> None:
    await finished(site)
    [listed] = (await ask("/v1/jobs")).json["jobs"]
    job = (await ask("/v1/jobs/42")).json
    del job["per_node"], job["per_gpu"]
    assert listed == job


async def test_what_is_known_for_a_part_says_for_how_much(site: Site, ask: Asker) -> None:
    key = await finished(site)
    await site.store.execute(
        "update tsobs_store.job_node set cpu_known_s = 20, cpu_capacity_s = 40"
        " where job_key = $1 and cpus_allocated = 2", key,
    )  # fmt: skip
    assert (await ask("/v1/jobs/42")).json["coverage"] == pytest.approx(0.6)


async def test_current_use_leaves_out_nodes_that_stopped_telling(site: Site, ask: Asker) -> None:
    job = await site.job("8")
    await site.job_node(
        job, await site.node("n1"), memory_used_bytes=1.0, cpus_allocated=1.0, cpu_usage_ratio=0.5
    )
    await site.job_node(
        job, await site.node("n2"), memory_used_bytes=99.0, cpus_allocated=1.0,
        cpu_usage_ratio=1.0, last_sample_at=site.at(-600),
    )  # fmt: skip
    told = (await ask("/v1/jobs/8")).json
    assert (told["memory_used_bytes"], told["cpu_usage"]) == (1.0, 50.0)


async def test_a_node_without_a_sample_yet(site: Site, ask: Asker) -> None:
    job = await site.job("8", nodes=["n1"])
    await site.put("job_node", job_key=job, node_id=await site.node(), allocated_cpus=4.0)
    told = (await ask("/v1/jobs/8")).json
    assert told["sample_count"] == 0
    assert "cpu_usage" not in told
    assert "coverage" not in told
    assert told["per_node"] == [{"node": "n1", "sample_count": 0, "allocated_cpus": 4.0}]
    assert (await ask("/v1/jobs/8/metrics")).json["samples"] == []
