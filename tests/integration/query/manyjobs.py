"""A site's history: many finished jobs and a few that run, straight into the store."""

from __future__ import annotations

import asyncpg

# Users and accounts with many and few jobs, 5,000 nodes, a year.
FILL = """
insert into tsobs_store.job (
    cluster, scheduler, job_id, restart_count, name, user_name, account, partition, state, nodes,
    submit_at, start_at, end_at, first_seen_at
)
select
    'alpha', 'slurm', n::text, 0,
    'job-' || n % 20000,
    'user' || floor(power(hash, 3) * 2000),
    'account' || floor(power(hash, 2) * 200),
    (array['batch', 'gpu', 'long', 'debug'])[1 + floor(power(hash, 2) * 4)::int],
    case when n > $1 - $1 / 200 then 'running' when n % 20 = 0 then 'failed' else 'completed' end,
    array['n' || n % 5000, 'n' || (n + 1) % 5000],
    at - interval '10 minutes', at,
    case when n <= $1 - $1 / 200 then at + hash * interval '1 day' end,
    at
from (
    select
        n,
        (hashint8(n) & 65535) / 65536.0 as hash,
        now() - ($1 - n) * (interval '365 days' / $1) as at
    from generate_series(1, $1::bigint) as n
) as made
"""


async def fill(store: asyncpg.Connection[asyncpg.Record], jobs: int) -> None:
    """Adds so many jobs, and lets the planner know."""
    await store.execute("set statement_timeout = 0")
    await store.execute(FILL.replace("$1", str(jobs)), timeout=900)
    await store.execute("vacuum analyze tsobs_store.job", timeout=900)
