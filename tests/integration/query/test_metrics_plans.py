"""A page of /metrics costs what runs now, however long the history is."""

from __future__ import annotations

import re

from tests.bench.metricsdata import fill_site
from tests.integration.query.site import Site
from tsobs.sqlfiles import query

OF_JOBS = ("metrics_job", "metrics_job_node", "metrics_job_gpu", "metrics_other_runs")


async def test_what_ended_is_not_read(site: Site, database_url: str) -> None:
    """50 jobs run and 20,000 ended: no step of a plan reads a thousand rows."""
    await fill_site(database_url, jobs=50, nodes=10, gpus=40, ended=20_000)
    await site.store.execute("vacuum analyze")
    async with site.store.transaction():
        await site.store.execute(query("plan_for_metrics"))
        for name in OF_JOBS:
            rows = await site.store.fetch(f"explain (analyze) {query(name)}", None, None)
            plan = "\n".join(row[0] for row in rows)
            read = [int(number) for number in re.findall(r"Scan.*\(actual .* rows=(\d+)", plan)]
            assert read
            assert max(read) < 1000, plan
            assert not re.findall(r"Rows Removed by Filter: \d{4,}", plan), plan
