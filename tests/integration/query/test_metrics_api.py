"""GET /metrics: what is alive, with the right numbers, in a text that Prometheus takes."""

from __future__ import annotations

import asyncio
import gzip
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from query.catalogue import CATALOGUE
from query.negotiation import TEXT
from tests.fix_proxy import Proxy
from tests.integration.query.conftest import Asker, series
from tests.integration.query.site import Site
from tsobs.columns import TABLES

J1 = {"cluster": "alpha", "job_id": "1", "user": "alice", "node": "n1"}
N1 = {"cluster": "alpha", "node": "n1"}
G1 = {"cluster": "alpha", "node": "n1", "gpu_id": "GPU-1", "gpu_vendor": "nvidia"}


def columns(table: str, start: float) -> dict[str, Any]:
    """Another value for every measured column."""
    return {column.name: start + n for n, column in enumerate(TABLES[table].columns)}


async def fill(site: Site) -> tuple[int, int, int]:
    """One job on one node with one GPU, every column measured."""
    node = await site.node(
        agent_version="0.1.0", cpu_usage_ratio=0.25, **columns("node_sample", 100)
    )
    job = await site.job(
        name='x"y\\z\nw', account="physics", partition="gpu", qos="high", priority=7,
        submit_at=site.at(-4000), time_limit_s=7200.0, requested_cpus=4.0, allocated_cpus=8.0,
        requested_memory_bytes=2**34, allocated_memory_bytes=2**35, requested_gpus=1.0,
        allocated_gpus=2.0,
    )  # fmt: skip
    await site.job_node(
        job, node, cpu_usage_ratio=0.25, known_s=300.0, cpu_capacity_s=1200.0,
        allocated_cpus=6.0, allocated_memory_bytes=2**33, **columns("job_sample", 200)
    )  # fmt: skip
    gpu = await site.gpu(
        node, model="H200", busy_s=50.0, known_s=70.0, **columns("gpu_sample", 0.5)
    )
    await site.job_gpu(
        job, gpu, node, utilization_ratio=0.5, memory_used_bytes=1e9, power_w=300.0,
        temperature_celsius=55.0, known_s=40.0, busy_s=20.0, energy_j=9e3,
    )  # fmt: skip
    return node, job, gpu


def lint(promtool: Path, text: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


async def test_promtool_finds_nothing_to_say(site: Site, ask: Asker, prometheus_bin: Path) -> None:
    await fill(site)
    answer = await ask("/metrics")
    assert answer.headers["Content-Type"] == TEXT
    assert await asyncio.to_thread(lint, prometheus_bin / "promtool", answer.text) == (0, "", "")


async def test_every_metric_of_the_catalogue_is_there(site: Site, ask: Asker) -> None:
    await fill(site)
    names = {name for name, _ in await ask.metrics()}
    assert names == {metric.name for metric in CATALOGUE}


async def test_values_come_from_their_columns(site: Site, ask: Asker) -> None:
    await fill(site)
    found = await ask.metrics()
    job, node = columns("job_sample", 200), columns("node_sample", 100)
    assert found[series("hpc_job_cpu_user_seconds_total", **J1)] == job["cpu_user_s"]
    assert found[series("hpc_job_io_writes_total", **J1)] == job["io_write_ops"]
    assert found[series("hpc_job_memory_usage_bytes", **J1)] == job["memory_used_bytes"]
    assert found[series("hpc_job_cpu_usage_percent", **J1)] == 25.0
    assert found[series("hpc_job_gpu_usage_percent", **J1)] == 50.0
    assert found[series("hpc_job_runtime_seconds", **J1)] == pytest.approx(3600, abs=30)
    assert found[series("hpc_job_gpu_device_energy_joules_total", job_id="1", **G1)] == 9e3
    assert found[series("hpc_job_gpu_device_utilization_percent", job_id="1", **G1)] == 50.0
    assert found[series("hpc_gpu_busy_seconds_total", **G1)] == 50.0
    assert found[series("hpc_gpu_info", model="H200", parent_gpu="", **G1)] == 1
    assert found[series("hpc_gpu_sampled_seconds_total", **G1)] == 70.0
    assert found[series("hpc_job_sampled_seconds_total", **J1)] == 300.0
    assert found[series("hpc_job_cpu_capacity_seconds_total", **J1)] == 1200.0
    assert found[series("hpc_job_node_allocated_cpus", **J1)] == 6.0
    whole = {name: value for name, value in J1.items() if name != "node"}
    assert found[series("hpc_job_allocated_memory_bytes", **whole)] == 2**35
    assert found[series("hpc_job_start_time_seconds", **whole)] == site.at(-3600).timestamp()
    assert found[series("hpc_job_time_limit_seconds", **whole)] == 7200.0
    assert found[series("hpc_node_cpu_seconds_total", mode="idle", **N1)] == node["cpu_idle_s"]
    assert found[series("hpc_node_cpu_load", **N1)] == node["load1"]
    used = node["memory_total_bytes"] - node["memory_available_bytes"]
    assert found[series("hpc_node_memory_usage_bytes", **N1)] == used
    assert found[series("hpc_node_cpu_usage_percent", **N1)] == pytest.approx(25.0)
    assert found[series("hpc_node_jobs", **N1)] == 1
    assert found[series("hpc_jobs", state="running")] == 1
    assert found[series("hpc_jobs", state="completed")] == 0
    assert found[series("hpc_job_total")] == 1
    assert found[series("hpc_exporter_last_collect_timestamp_seconds")] == site.now.timestamp()


async def test_what_is_known_of_a_job_is_on_its_info(site: Site, ask: Asker) -> None:
    await fill(site)
    [labels] = [dict(key[1]) for key in await ask.metrics() if key[0] == "hpc_job_info"]
    assert labels["name"] == 'x"y\\z\nw'
    assert (labels["account"], labels["partition"], labels["qos"]) == ("physics", "gpu", "high")
    assert (labels["scheduler"], labels["restart_count"]) == ("slurm", "0")
    assert "node" not in labels


async def test_null_has_no_series_and_zero_has_one(site: Site, ask: Asker) -> None:
    node = await site.node()
    await site.job_node(await site.job(), node, cpu_user_s=0.0, memory_used_bytes=None)
    found = await ask.metrics()
    assert found[series("hpc_job_cpu_user_seconds_total", **J1)] == 0
    assert series("hpc_job_memory_usage_bytes", **J1) not in found
    assert series("hpc_job_cpu_usage_percent", **J1) not in found
    assert series("hpc_job_gpu_usage_percent", **J1) not in found
    assert not [key for key in found if key[0].startswith("hpc_gpu")]


async def test_only_what_is_alive_has_series(site: Site, ask: Asker) -> None:
    node = await site.node()
    await site.node("old", last_sample_at=site.at(-60))
    await site.gpu(node, "GPU-old", last_sample_at=site.at(-60), power_w=1.0)
    sampled: dict[str, dict[str, Any]] = {
        "alive": {},
        "late": {"last_sample_at": site.at(-40)},
        "lost": {"last_sample_at": site.at(-60)},
        # The last row of a job that is gone may be short, its node's interval is not.
        "short": {"last_sample_at": site.at(-20), "interval_s": 0.5},
        "never": {"last_sample_at": None, "interval_s": None},
    }
    for job_id, values in sampled.items():
        await site.job_node(await site.job(job_id), node, cpu_user_s=1.0, **values)
    others: dict[str, dict[str, Any]] = {
        "ended": {"state": "completed"},
        "pending": {"state": "pending"},
        "deleted": {"deleted_at": site.now},
    }
    for job_id, given in others.items():
        await site.job_node(await site.job(job_id, **given), node, cpu_user_s=1.0)
    found = await ask.metrics()
    jobs = {dict(key[1])["job_id"] for key in found if key[0].startswith("hpc_job_cpu_user")}
    assert jobs == {"alive", "late", "short"}
    assert found[series("hpc_node_jobs", **N1)] == 3
    assert series("hpc_node_info", cluster="alpha", node="old", agent_version="") not in found
    assert not [key for key in found if key[0] == "hpc_gpu_info"]


async def test_merged_intervals_keep_nothing_alive_for_hours(site: Site, ask: Asker) -> None:
    node = await site.node(interval_s=86_400.0, last_sample_at=site.at(-3600))
    job = await site.job()
    await site.job_node(job, node, interval_s=86_400.0, last_sample_at=site.at(-3600))
    assert not [key for key in await ask.metrics() if key[0] in ("hpc_job_info", "hpc_node_info")]


async def test_a_job_waits_for_its_user_for_a_minute(site: Site, ask: Asker) -> None:
    node = await site.node()
    young, old = await site.job("young", user_name=None), await site.job("old", user_name=None)
    await site.job_node(young, node, cpu_user_s=1.0, first_sample_at=site.at(-20))
    await site.job_node(old, node, cpu_user_s=1.0, first_sample_at=site.at(-70))
    gpu = await site.gpu(node)
    await site.job_gpu(young, gpu, node, utilization_ratio=1.0, first_sample_at=site.at(-20))
    found = await ask.metrics()
    unknown = {**J1, "job_id": "old", "user": ""}
    assert found[series("hpc_job_cpu_user_seconds_total", **unknown)] == 1
    assert not [
        key for key in found if dict(key[1]).get("job_id") == "young" and "user" in dict(key[1])
    ]
    await site.store.execute("update tsobs_store.job set user_name = 'alice'")
    found = await ask.metrics()
    assert found[series("hpc_job_cpu_user_seconds_total", **{**J1, "job_id": "young"})] == 1


async def test_runs_with_the_same_labels_are_one_series(site: Site, ask: Asker) -> None:
    node, other = await site.node(), await site.node("n2")
    first = await site.job(restart_count=0, state="failed", start_at=site.at(-9000))
    second = await site.job(restart_count=1, start_at=site.at(-600))
    stranger = await site.job(restart_count=2, user_name="bob", state="failed")
    await site.job_node(first, node, cpu_user_s=100.0, oom_kills=1.0, memory_used_bytes=5e9)
    await site.job_node(first, other, cpu_user_s=70.0)
    await site.job_node(second, node, cpu_user_s=10.0, memory_used_bytes=1e9)
    await site.job_node(stranger, node, cpu_user_s=1000.0)
    gpu = await site.gpu(node)
    await site.job_gpu(first, gpu, node, energy_j=50.0, power_w=700.0)
    await site.job_gpu(second, gpu, node, energy_j=5.0, power_w=100.0)
    found = await ask.metrics()
    assert found[series("hpc_job_cpu_user_seconds_total", **J1)] == 110
    assert found[series("hpc_job_oom_kills_total", **J1)] == 1
    assert found[series("hpc_job_memory_usage_bytes", **J1)] == 1e9
    assert found[series("hpc_job_runtime_seconds", **J1)] == pytest.approx(600, abs=30)
    assert found[series("hpc_job_gpu_device_energy_joules_total", job_id="1", **G1)] == 55
    assert found[series("hpc_job_gpu_device_power_watts", job_id="1", **G1)] == 100
    assert series("hpc_job_cpu_user_seconds_total", **{**J1, "node": "n2"}) not in found


async def test_two_living_runs_are_one_series(site: Site, ask: Asker) -> None:
    node = await site.node()
    for restart, cpu_s in enumerate((100.0, 10.0)):
        job = await site.job(restart_count=restart, start_at=site.at(-9000 + restart))
        await site.job_node(job, node, cpu_user_s=cpu_s, cpus_allocated=restart + 1)
    found = await ask.metrics()
    assert found[series("hpc_job_cpu_user_seconds_total", **J1)] == 110
    assert found[series("hpc_job_cpus", **J1)] == 2
    [info] = [dict(key[1]) for key in found if key[0] == "hpc_job_info"]
    assert info["restart_count"] == "1"


async def test_gpu_use_is_weighted_by_share(site: Site, ask: Asker) -> None:
    node, job = await site.node(), await site.job()
    await site.job_node(job, node)
    for n, (share, ratio) in enumerate([(1.0, 0.9), (0.5, 0.3), (1.0, None)]):
        gpu = await site.gpu(node, f"GPU-{n}", utilization_ratio=ratio)
        await site.job_gpu(job, gpu, node, share=share, utilization_ratio=ratio)
    found = await ask.metrics()
    assert found[series("hpc_job_gpu_usage_percent", **J1)] == pytest.approx(100 * 1.05 / 1.5)
    assert found[series("hpc_node_gpu_usage_percent", **N1)] == pytest.approx(60.0)


async def test_a_viewer_bound_to_a_user_sees_that_users_jobs(
    site: Site, ask_as: Callable[..., Awaitable[Asker]]
) -> None:
    node, gpu = await site.node(load1=1.0), 0
    gpu = await site.gpu(node, power_w=1.0)
    for user in ("alice", "bob"):
        job = await site.job(f"of-{user}", user_name=user)
        await site.job_node(job, node, cpu_user_s=1.0)
        await site.job_gpu(job, gpu, node, share=0.5, utilization_ratio=1.0, energy_j=1.0)
    await site.job("done", user_name="bob", state="completed")
    found = await (await ask_as(user="alice")).metrics()
    jobs = {dict(key[1])["job_id"] for key in found if "job_id" in dict(key[1])}
    assert jobs == {"of-alice"}
    assert found[series("hpc_node_jobs", **N1)] == 1
    assert found[series("hpc_node_cpu_load", **N1)] == 1
    assert found[series("hpc_job_total")] == 1
    assert found[series("hpc_jobs", state="completed")] == 0


async def test_a_viewer_bound_to_a_cluster_sees_that_cluster(
    site: Site, ask_as: Callable[..., Awaitable[Asker]]
) -> None:
    for cluster in ("alpha", "beta"):
        node = await site.node(cluster=cluster, load1=1.0)
        await site.job_node(await site.job(cluster=cluster), node, cpu_user_s=1.0)
    found = await (await ask_as(cluster="beta")).metrics()
    assert {dict(key[1]).get("cluster", "beta") for key in found} == {"beta"}
    assert found[series("hpc_job_total")] == 1


async def test_gzip_when_asked_for(site: Site, ask: Asker) -> None:
    await fill(site)
    ask.session.headers["Accept-Encoding"] = "identity"
    plain = await ask("/metrics")
    assert "Content-Encoding" not in plain.headers
    assert plain.headers["Vary"] == "Accept, Accept-Encoding"
    async with ask.session.get(
        f"{ask.url}/metrics", headers={"Accept-Encoding": "gzip"}, auto_decompress=False
    ) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        text = gzip.decompress(await response.read()).decode()
    wanted = [line for line in plain.text.splitlines() if line.startswith("hpc_gpu")]
    assert wanted == [line for line in text.splitlines() if line.startswith("hpc_gpu")]


async def test_head_costs_nothing(ask: Asker) -> None:
    answer = await ask("/metrics", method="HEAD")
    assert (answer.status, answer.text) == (200, "")


async def test_the_services_own_metrics_come_last(ask: Asker) -> None:
    text = (await ask("/metrics")).text
    assert text.rindex("\nhpc_") < text.index("tsobs_query_connections")
    alone = (await ask("/metrics/service")).text
    assert "tsobs_query_metrics_read_seconds_count" in alone
    assert "hpc_" not in alone


async def test_a_database_that_is_away_is_a_503(
    session: ClientSession, start_service: Callable[..., Awaitable[str]], database_proxy: Proxy
) -> None:
    ask = Asker(session, await start_service(role="query", database_url=database_proxy.url))
    assert (await ask("/metrics")).status == 200
    await database_proxy.cut()
    answer = await ask("/metrics")
    assert (answer.status, answer.json["error"]) == (503, "unavailable")
