"""Jobs as objects: what was sampled, else what was posted, each told by the right source."""

from __future__ import annotations

from tests.integration.query.site import Site
from tsobs.db import open_database
from tsobs.jobs.describe import describe_job, describe_jobs


async def test_sampled_posted_and_neither(site: Site, database_url: str) -> None:
    node = await site.node()
    keys = [await site.job(str(n)) for n in range(4)]
    # Sampled and posted; posted; told of by an agent but never sampled, and posted; neither.
    await site.job_node(keys[0], node, cpu_usage_ratio=0.25, cpus_allocated=1)
    await site.job_node(keys[2], node, sample_count=0, first_sample_at=None, last_sample_at=None)
    for key in keys[:3]:
        await site.put("job_reported", time=site.now, job_key=key, cpu_usage_ratio=0.75)
    async with (
        open_database(database_url, role="tsobs_ingest", size=1) as database,
        database.transaction() as connection,
    ):
        rows = [(await connection.fetch("job_by_key", key))[0] for key in keys]
        told = await describe_jobs(connection, rows)
        assert await describe_job(connection, keys[1]) == told[1]
    assert [each.get("cpu_usage") for each in told] == [25, 75, 75, None]
    assert [each["sample_count"] for each in told] == [1, 1, 1, 0]
    assert [each["id"] for each in told] == ["0", "1", "2", "3"]
