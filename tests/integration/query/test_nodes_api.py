"""GET /v1/nodes on real rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.integration.query.conftest import Asker
from tests.integration.query.site import Site


def names(answer: Any) -> list[str]:
    return [node["node"] for node in answer.json["nodes"]]


async def test_a_node_with_its_newest_values(site: Site, ask: Asker) -> None:
    node = await site.node(
        aliases=["n1.example.org"], agent_version="0.1.0", sample_count=3, cpus=4.0, load1=0.0,
        memory_total_bytes=8e9, memory_available_bytes=2e9, cpu_usage_ratio=0.25,
    )  # fmt: skip
    await site.gpu(node, "GPU-1", utilization_ratio=0.5)
    await site.gpu(node, "GPU-2", utilization_ratio=1.0, last_sample_at=site.at(-600))
    answer = await ask("/v1/nodes")
    assert (answer.json["total"], answer.json["limit"]) == (1, 1000)
    [found] = answer.json["nodes"]
    del found["first_seen_at"]
    assert found == {
        "node": "n1",
        "cluster": "alpha",
        "aliases": ["n1.example.org"],
        "alive": True,
        "job_count": 0,
        "last_sample_at": site.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "sample_count": 3,
        "interval_seconds": 15.0,
        "agent_version": "0.1.0",
        "cpus": 4.0,
        "cpu_usage": 25.0,
        "load1": 0.0,
        "memory_total_bytes": 8e9,
        "memory_available_bytes": 2e9,
        "gpu_count": 2,
        "gpu_usage": 50.0,
    }


async def test_a_node_that_stopped_or_never_told(site: Site, ask: Asker) -> None:
    await site.node("n1", last_sample_at=site.at(-600))
    await site.node("n2", last_sample_at=None, interval_s=None)
    answer = await ask("/v1/nodes")
    assert [node["alive"] for node in answer.json["nodes"]] == [False, False]
    assert "last_sample_at" not in answer.json["nodes"][1]


async def jobs(site: Site) -> None:
    node = await site.node()
    for job_id, values in {"1": {}, "2": {"user_name": "bob"}, "3": {"state": "failed"}}.items():
        await site.job_node(await site.job(job_id, **values), node)
    await site.job_node(await site.job("4"), node, last_sample_at=site.at(-600))


async def test_jobs_that_run_and_are_sampled_are_counted(site: Site, ask: Asker) -> None:
    await jobs(site)
    assert [node["job_count"] for node in (await ask("/v1/nodes")).json["nodes"]] == [2]


async def test_a_viewer_bound_to_a_user_counts_that_users_jobs(
    site: Site, ask_as: Callable[..., Awaitable[Asker]]
) -> None:
    await jobs(site)
    alice = await ask_as(user="alice")
    assert [node["job_count"] for node in (await alice("/v1/nodes")).json["nodes"]] == [1]


async def test_pages_by_cluster_and_name(site: Site, ask: Asker) -> None:
    for cluster, name in (("beta", "n1"), ("alpha", "n2"), ("alpha", "n10"), ("alpha", "n1")):
        await site.node(name, cluster=cluster)
    first = await ask("/v1/nodes?limit=3")
    assert names(first) == ["n1", "n10", "n2"]
    second = await ask(f"/v1/nodes?limit=3&cursor={first.json['next_cursor']}")
    assert [(node["cluster"], node["node"]) for node in second.json["nodes"]] == [("beta", "n1")]
    assert "next_cursor" not in second.json
    assert second.json["total"] == 4
    assert names(await ask("/v1/nodes?cluster=beta")) == ["n1"]
    assert names(await ask("/v1/nodes?cursor=999")) == []


async def test_a_viewer_bound_to_a_cluster(
    site: Site, ask_as: Callable[..., Awaitable[Asker]]
) -> None:
    await site.node("n1")
    await site.node("n2", cluster="beta")
    answer = await (await ask_as(cluster="beta"))("/v1/nodes")
    assert (names(answer), answer.json["total"]) == (["n2"], 1)


@pytest.mark.parametrize("query", ["limit=0", "limit=10001", "cursor=x", "cluster=%01", "nodes=1"])
async def test_a_bad_parameter_is_named(ask: Asker, query: str) -> None:
    answer = await ask(f"/v1/nodes?{query}")
    assert answer.status == 400
    assert answer.json["details"]["parameter"] == query.split("=")[0]
