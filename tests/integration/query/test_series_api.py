"""GET /v1/jobs/{id}/metrics: sums over nodes that were worked out by hand."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.integration.query.conftest import Asker
from tests.integration.query.site import Site

MIB = 1_048_576.0


class Series:
    """The samples of an answer, oldest first."""

    def __init__(self, answer: Any) -> None:
        assert answer.status == 200, answer.text
        self.json = answer.json
        self.samples = answer.json["samples"][::-1]

    def column(self, name: str) -> list[Any]:
        """One field of every sample."""
        return [sample.get(name) for sample in self.samples]


@pytest.fixture
async def site(site: Site) -> Site:
    """The minute begins where a bucket does."""
    site.now = site.now.replace(second=0)
    return site


async def two_nodes(site: Site) -> int:
    """30 s on n1 (4 CPUs) and n2 (2 CPUs); n2's second interval has no values."""
    job = await site.job("5", start_at=site.at(-30), nodes=["n1", "n2"])
    n1, n2 = await site.node("n1"), await site.node("n2")
    for node in (n1, n2):
        await site.job_node(job, node, first_sample_at=site.at(-15), last_sample_at=site.at(0))
    row = site.job_sample
    await row(-15, job, n1, cpu_user_s=30.0, cpu_system_s=6.0, cpus_allocated=4.0,
              memory_used_bytes=1 * MIB, io_read_bytes=100.0)  # fmt: skip
    await row(0, job, n1, cpu_user_s=15.0, cpu_system_s=0.0, cpus_allocated=4.0,
              memory_used_bytes=3 * MIB, io_read_bytes=0.0)  # fmt: skip
    await row(-15, job, n2, cpu_user_s=3.0, cpu_system_s=0.0, cpus_allocated=2.0,
              memory_used_bytes=5 * MIB)  # fmt: skip
    await row(0, job, n2, cpus_allocated=2.0)
    return job


async def test_an_interval_a_bucket(site: Site, ask: Asker) -> None:
    await two_nodes(site)
    series = Series(await ask("/v1/jobs/5/metrics?step=15"))
    assert series.column("cpu_usage_ratio") == pytest.approx([39 / 90, 15 / 60])
    assert series.column("cpu_usage") == pytest.approx([100 * 39 / 90, 25.0])
    assert series.column("cpu_seconds") == [39.0, 15.0]
    assert series.column("memory_used_bytes") == [6 * MIB, 3 * MIB]
    assert series.column("memory_usage_mb") == [6, 3]
    assert series.column("io_read_bytes") == [100.0, 0.0]
    assert series.column("coverage") == [None, 0.5]


async def test_the_whole_time_a_bucket(site: Site, ask: Asker) -> None:
    await two_nodes(site)
    series = Series(await ask("/v1/jobs/5/metrics?step=60"))
    assert series.column("cpu_usage_ratio") == pytest.approx([54 / 150])
    assert series.column("memory_used_bytes") == [7 * MIB]  # 2 MiB on n1, 5 on n2
    assert series.column("coverage") == [0.75]


async def test_by_node(site: Site, ask: Asker) -> None:
    await two_nodes(site)
    series = Series(await ask("/v1/jobs/5/metrics?step=15&by=node"))
    told = [(s["node"], s["cpu_usage_ratio"], s["memory_usage_mb"]) for s in series.samples[::-1]]
    assert told == [
        ("n1", pytest.approx(0.25), 3),
        ("n2", None, None),
        ("n1", pytest.approx(0.6), 1),
        ("n2", pytest.approx(0.1), 5),
    ]
    assert series.json["total"] == 4


async def test_newest_first_and_told_by_the_end(site: Site, ask: Asker) -> None:
    await two_nodes(site)
    answer = (await ask("/v1/jobs/5/metrics")).json
    assert [sample["timestamp"] for sample in answer["samples"]] == [_z(site, 0), _z(site, -15)]
    assert {key: answer[key] for key in answer if key not in ("samples", "key")} == {
        "job_id": "5",
        "cluster": "alpha",
        "source": "sampled",
        "total": 2,
        "limit": 1000,
        "step_seconds": 15,
    }


def _z(site: Site, seconds: float) -> str:
    return site.at(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_null_stays_null(site: Site, ask: Asker) -> None:
    await two_nodes(site)
    [sample] = (await ask("/v1/jobs/5/metrics?step=15&limit=1")).json["samples"]
    for name in ("gpu_usage", "gpu_usage_ratio", "energy_joules", "io_write_bytes"):
        assert sample[name] is None


async def test_limit_keeps_the_newest_and_total_counts_all(site: Site, ask: Asker) -> None:
    await two_nodes(site)
    answer = (await ask("/v1/jobs/5/metrics?step=15&limit=1")).json
    assert [sample["timestamp"] for sample in answer["samples"]] == [_z(site, 0)]
    assert (answer["total"], answer["limit"]) == (2, 1)


@pytest.mark.parametrize(
    ("start", "end", "ends"),
    [
        (None, None, [-15, 0]),
        (-10, None, [0]),
        (None, -10, [-15]),
        (-15, -15, [-15]),  # both inclusive
        (-15, 0, [-15, 0]),
        (60, None, []),
        (None, -60, []),
        (-3600, 3600, [-15, 0]),
    ],
)
async def test_start_and_end_each_alone(
    site: Site, ask: Asker, start: float | None, end: float | None, ends: list[float]
) -> None:
    await two_nodes(site)
    given = {"start_time": start, "end_time": end}
    query = "".join(
        f"&{name}={quote(site.at(seconds).isoformat())}"
        for name, seconds in given.items()
        if seconds is not None
    )
    series = Series(await ask(f"/v1/jobs/5/metrics?step=15{query}"))
    assert series.column("timestamp") == [_z(site, seconds) for seconds in ends]
    assert series.json["total"] == len(ends)


async def test_a_job_without_samples(site: Site, ask: Asker) -> None:
    await site.job("6")
    answer = (await ask("/v1/jobs/6/metrics")).json
    assert (answer["samples"], answer["total"], answer["step_seconds"]) == ([], 0, None)


async def test_intervals_that_cross_buckets_are_no_gap(site: Site, ask: Asker) -> None:
    job, node = await site.job("5", start_at=site.at(-210), nodes=["n1"]), await site.node()
    await site.job_node(job, node, first_sample_at=site.at(-203), last_sample_at=site.at(0))
    for n in range(30):
        await site.job_sample(
            -7 * n, job, node, interval_s=7.0, cpu_user_s=7.0, cpu_system_s=0.0, cpus_allocated=2.0
        )
    series = Series(await ask("/v1/jobs/5/metrics?step=60"))
    assert series.column("coverage") == [None] * 4
    assert series.column("cpu_usage_ratio") == pytest.approx([0.5] * 4)
    assert sum(series.column("cpu_seconds")) == 210


async def test_a_gap_in_a_bucket_is_told(site: Site, ask: Asker) -> None:
    job, node = await site.job("5", start_at=site.at(-60), nodes=["n1"]), await site.node()
    await site.job_node(job, node, first_sample_at=site.at(-45), last_sample_at=site.at(0))
    for seconds in (-45, 0):
        await site.job_sample(
            seconds, job, node, cpu_user_s=15.0, cpu_system_s=0.0, cpus_allocated=1.0
        )
    series = Series(await ask("/v1/jobs/5/metrics?step=60"))
    assert series.column("coverage") == [0.5]
    assert series.column("cpu_usage") == [100.0]


async def test_gpus_are_weighted_by_share_and_their_memory_adds_up(site: Site, ask: Asker) -> None:
    job, node = await site.job("5", start_at=site.at(-30), nodes=["n1"]), await site.node()
    other = await site.job("6")
    await site.job_node(job, node, first_sample_at=site.at(-15), last_sample_at=site.at(0))
    whole, shared = await site.gpu(node, "GPU-1"), await site.gpu(node, "GPU-2")
    await site.job_gpu(job, whole, node)
    await site.job_gpu(job, shared, node, share=0.5)
    row = site.gpu_sample
    await row(-15, whole, node, job_key=job, utilization_ratio=0.9, memory_used_bytes=10.0,
              energy_j=100.0)  # fmt: skip
    await row(0, whole, node, job_key=job, utilization_ratio=None, memory_used_bytes=30.0)
    for holder in (job, other):
        await row(0, shared, node, job_key=holder, share=0.5, utilization_ratio=0.3,
                  memory_used_bytes=5.0, energy_j=40.0)  # fmt: skip
    series = Series(await ask("/v1/jobs/5/metrics?step=15"))
    assert series.column("gpu_usage") == pytest.approx([90.0, 30.0])
    assert series.column("gpu_memory_used_bytes") == [10.0, 35.0]
    assert series.column("gpu_energy_joules") == [100.0, 20.0]
    series = Series(await ask("/v1/jobs/5/metrics?step=60"))
    assert series.column("gpu_usage") == pytest.approx([100 * (0.9 * 15 + 0.3 * 7.5) / 22.5])
    assert series.column("gpu_memory_used_bytes") == [25.0]
    assert series.column("coverage") == [pytest.approx(22.5 / 37.5)]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("step=0", "step"),
        ("step=1.5", "step"),
        ("by=gpu", "by"),
        ("start_time=yesterday", "start_time"),
        ("end_time=2026-01-31T12:00:00", "end_time"),
        ("start_time=2026-02-01T00:00:00Z&end_time=2026-01-01T00:00:00Z", "start_time"),
        ("from=1", "from"),
    ],
)
async def test_a_bad_parameter_is_named(ask: Asker, query: str, parameter: str) -> None:
    answer = await ask(f"/v1/jobs/5/metrics?{query}")
    assert answer.status == 400
    assert answer.json["details"]["parameter"] == parameter


async def test_a_job_that_is_not_there(ask: Asker) -> None:
    answer = await ask("/v1/jobs/5/metrics")
    assert (answer.status, answer.json["message"]) == (404, "Job not found")
