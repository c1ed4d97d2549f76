"""The ids that a path takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import quote

import pytest

from tests.integration.query.conftest import Asker
from tests.integration.query.site import Site
from tsobs.jobs.jobref import MAX_LENGTH


async def found(ask: Asker, job_id: str) -> int:
    """The key of the job that an id leads to."""
    answer = await ask(f"/v1/jobs/{quote(job_id, safe=':+')}")
    assert answer.status == 200, answer.text
    key: int = answer.json["key"]
    return key


@pytest.fixture
async def keys(site: Site) -> dict[str, int]:
    """Three runs of job 123, a task of an array, a part of a het job, and look-alikes."""
    job = site.job
    return {
        "run0": await job("123", restart_count=0, start_at=site.at(-900)),
        "run1": await job("123", restart_count=1, start_at=site.at(-600)),
        "reused": await job("123", restart_count=1, run=1, start_at=site.at(-300)),
        "task": await job("1042", array_job_id="1000", array_task_id="42"),
        "part": await job("2001", het_job_id="2000", het_offset=1),
        "named": await job("mock-job-001", scheduler="mock"),
        "prefix": await job("slurm-7"),
        "plain": await job("7", scheduler="slurm"),
        "pbs": await job("7", scheduler="pbs", start_at=site.at(-9000)),
        "unknown restart": await job("55", restart_count=None),
    }


@pytest.mark.parametrize(
    ("job_id", "key"),
    [
        ("123", "reused"),
        ("slurm-123", "reused"),
        ("alpha:123", "reused"),
        ("alpha:123.r0", "run0"),
        ("alpha:123.r1", "reused"),
        ("alpha:123.r1.0", "run1"),
        ("alpha:slurm-123.r0.0", "run0"),
        ("1000_42", "task"),
        ("1042", "task"),
        ("alpha:1000_42.r0", "task"),
        ("2000+1", "part"),
        ("2000%2B1", "part"),
        ("mock-job-001", "named"),
        ("slurm-7", "prefix"),  # as written comes first
        ("7", "plain"),
        ("pbs-7", "pbs"),
        ("alpha:55.r0.0", "unknown restart"),
    ],
)
async def test_an_id_leads_to_its_job(
    ask: Asker, keys: dict[str, int], job_id: str, key: str
) -> None:
    answer = await ask(f"/v1/jobs/{job_id}")
    assert answer.status == 200
    assert answer.json["key"] == keys[key]


@pytest.mark.parametrize(
    "job_id",
    ["124", "lsf-123", "1000_43", "2000+2", "alpha:123.r2", "alpha:123.r0.1", "beta:123", "12"],
)
async def test_an_id_of_no_job(ask: Asker, keys: dict[str, int], job_id: str) -> None:
    answer = await ask(f"/v1/jobs/{job_id}")
    assert (answer.status, answer.json["message"]) == (404, "Job not found")


async def test_every_job_tells_its_exact_id(ask: Asker, keys: dict[str, int]) -> None:
    listed = (await ask("/v1/jobs")).json["jobs"]
    assert len(listed) == len(keys)
    for job in listed:
        if job["id"] != "7":  # two schedulers in one cluster have it: the newest is meant
            assert await found(ask, job["exact_id"]) == job["key"]


async def test_several_clusters_are_a_conflict_that_names_the_candidates(
    site: Site, ask: Asker
) -> None:
    await site.job("9", restart_count=2, start_at=site.at(-100))
    await site.job("9", restart_count=1, start_at=site.at(-900))
    beta = await site.job("9", cluster="beta", restart_count=None)
    answer = await ask("/v1/jobs/9")
    assert (answer.status, answer.json["error"]) == (409, "conflict")
    assert answer.json["details"]["candidates"] == ["alpha:9.r2.0", "beta:9.r0.0"]
    assert (await ask("/v1/jobs/9/metrics")).status == 409
    assert await found(ask, "beta:9.r0.0") == beta
    assert await found(ask, "beta:9") == beta


async def test_a_cluster_that_the_viewer_may_not_see_is_no_conflict(
    site: Site, ask_as: Callable[..., Awaitable[Asker]]
) -> None:
    key = await site.job("9")
    await site.job("9", cluster="beta", user_name="bob")
    assert await found(await ask_as(user="alice"), "9") == key
    assert await found(await ask_as(cluster="alpha"), "9") == key


@pytest.mark.parametrize("job_id", ["a%00b", "x" * (MAX_LENGTH + 1), "%0A"])
async def test_what_no_job_is_called(ask: Asker, job_id: str) -> None:
    answer = await ask(f"/v1/jobs/{job_id}")
    assert answer.status == 400
    assert answer.json["details"]["parameter"] == "id"
