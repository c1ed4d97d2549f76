"""A site for `make bench-metrics`: what runs on it, written straight into the store."""

from __future__ import annotations

import asyncpg

from tsobs.columns import TABLES

__all__ = ["fill_site"]

# What few machines measure: profiling counters of GPUs, fast links, the whole machine.
RARE = {
    *("sm_active_ratio", "sm_occupancy_ratio", "tensor_active_ratio", "dram_active_ratio"),
    *("nvlink_rx_bytes", "nvlink_tx_bytes", "memory_temperature_celsius", "fan_ratio"),
    *("energy_platform_j", "cpu_throttled_s", "memory_limit_hits"),
}  # fmt: skip
# The site stays alive for the whole run.
SAMPLED = "now() + interval '1 hour'"


async def fill_site(url: str, *, jobs: int, nodes: int, gpus: int, ended: int) -> None:
    """Running jobs one to a node in turn, the first of them with a GPU each; and ended ones."""
    store = await asyncpg.connect(url)
    try:
        await _nodes(store, nodes)
        await _jobs(store, jobs, ended)
        await _job_nodes(store, jobs, nodes)
        await _gpus(store, nodes, gpus, min(jobs, gpus))
        await store.execute("analyze")
    finally:
        await store.close()


def _measured(table: str) -> tuple[str, str]:
    """The columns of a table that are measured here, and an expression for each."""
    names = [column.name for column in TABLES[table].columns if column.name not in RARE]
    return ", ".join(names), ", ".join(_value(name) for name in names)


def _value(name: str) -> str:
    if name.endswith("_ratio"):
        return "round(random()::numeric, 4)"
    if name.endswith("_bytes"):
        return "floor(random() * 6e10)"
    if name.endswith(("_s", "_j")):
        return "round((random() * 1e6)::numeric, 6)"
    return "round((random() * 100)::numeric, 2)"


async def _nodes(store: asyncpg.Connection[asyncpg.Record], nodes: int) -> None:
    names, values = _measured("node_sample")
    await store.execute(
        f"""
        insert into tsobs_store.node
            (cluster, name, agent_version, interval_s, first_sample_at, last_sample_at, known_s,
             cpu_usage_ratio, {names})
        select 'alpha', format('node%s', to_char(n, 'FM00000')), '0.1.0', 15, now(), {SAMPLED},
            600, random(), {values}
        from generate_series(1, {nodes}) as n
        """
    )


async def _jobs(store: asyncpg.Connection[asyncpg.Record], jobs: int, ended: int) -> None:
    await store.execute(
        f"""
        insert into tsobs_store.job
            (cluster, scheduler, job_id, restart_count, name, user_name, account, partition, qos,
             state, requested_cpus, allocated_cpus, allocated_memory_bytes, time_limit_s,
             submit_at, start_at, first_seen_at)
        select 'alpha', 'slurm', (4000000 + n)::text, 0, format('train-%s', n % 50),
            format('user%s', n % 400), format('account%s', n % 60), 'gpu', 'normal',
            case when n <= {ended} then 'completed' else 'running' end, 16, 16, 6e10, 86400,
            now() - interval '2 hours', now() - interval '1 hour', now() - interval '1 hour'
        from generate_series(1, {ended + jobs}) as n
        """
    )


async def _job_nodes(store: asyncpg.Connection[asyncpg.Record], jobs: int, nodes: int) -> None:
    names, values = _measured("job_sample")
    await store.execute(
        f"""
        insert into tsobs_store.job_node
            (job_key, node_id, allocated_cpus, interval_s, sample_count, first_sample_at,
             first_interval_s, last_sample_at, known_s, cpu_known_s, cpu_capacity_s,
             cpu_usage_ratio, {names})
        select j.job_key, n.node_id, 16, 15, 240, now() - interval '1 hour', 15,
            case when j.state = 'running' then {SAMPLED} else now() - interval '1 hour' end,
            3600, 3600, 57600, round(random()::numeric, 4), {values}
        from (select *, row_number() over (order by job_key desc) as at from tsobs_store.job) as j
        join tsobs_store.node n on n.node_id = 1 + j.at % {nodes}
        """
    )


async def _gpus(
    store: asyncpg.Connection[asyncpg.Record], nodes: int, gpus: int, held: int
) -> None:
    names, values = _measured("gpu_sample")
    await store.execute(
        f"""
        insert into tsobs_store.gpu
            (uuid, node_id, vendor, model, interval_s, first_sample_at, last_sample_at, known_s,
             busy_s, {names})
        select format('GPU-%s', md5(n::text)::uuid), 1 + n % {nodes}, 'nvidia',
            'NVIDIA H100 80GB HBM3', 15, now(), {SAMPLED}, 600, 300, {values}
        from generate_series(1, {gpus}) as n
        """
    )
    await store.execute(
        f"""
        insert into tsobs_store.job_gpu
            (job_key, gpu_id, node_id, share, sample_count, first_sample_at, last_sample_at,
             known_s, busy_s, busy_known_s, energy_j, utilization_ratio, memory_used_bytes,
             power_w, temperature_celsius)
        select j.job_key, g.gpu_id, g.node_id, 1, 240, now() - interval '1 hour', {SAMPLED},
            3600, random() * 3600, 3600, random() * 1e6, round(random()::numeric, 4),
            floor(random() * 8e10), round((random() * 700)::numeric, 2), 30 + floor(random() * 50)
        from tsobs_store.gpu g
        join (
            select job_key, row_number() over (order by job_key desc) as at from tsobs_store.job
        ) as j on j.at = g.gpu_id
        where g.gpu_id <= {held}
        """
    )
