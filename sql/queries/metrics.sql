-- What /metrics shows. The catalogue (query/catalogue.py) names the columns of these statements.
-- Alive means: the job runs, and was sampled within 3 intervals. The interval is the longer of the row's and its
-- node's (a job's last row may be short), and at most 5 minutes (an agent that caught up merges intervals).

-- name: plan_for_metrics
-- What is alive is in memory, and is to be reached by index however long the history is.
select set_config('random_page_cost', '1.1', true)

-- name: metrics_job_node
-- $1 cluster or null for all, $2 user or null for all
select
    j.job_key,
    coalesce(j.start_at, j.first_seen_at) as started_at,
    j.cluster,
    j.job_id,
    coalesce(j.user_name, '') as user_name,
    -- A series whose user is not known yet waits: its labels would change.
    j.user_name is null and jn.first_sample_at > now() - interval '60 seconds' as is_waiting,
    jn.node,
    jn.node_id,
    1 as info,
    j.scheduler,
    coalesce(j.name, '') as name,
    coalesce(j.account, '') as account,
    coalesce(j.partition, '') as partition,
    coalesce(j.qos, '') as qos,
    coalesce(j.restart_count::text, '') as restart_count,
    coalesce(j.array_job_id, '') as array_job_id,
    coalesce(j.array_task_id, '') as array_task_id,
    coalesce(j.het_job_id, '') as het_job_id,
    coalesce(j.het_offset::text, '') as het_offset,
    greatest(extract(epoch from now() - j.start_at), 0)::float8 as runtime_s,
    jn.cpu_usage_ratio,
    jn.cpu_user_s,
    jn.cpu_system_s,
    jn.cpu_throttled_s,
    jn.cpu_pressure_some_s,
    jn.cpu_pressure_full_s,
    jn.memory_pressure_some_s,
    jn.memory_pressure_full_s,
    jn.io_pressure_some_s,
    jn.io_pressure_full_s,
    jn.io_read_bytes,
    jn.io_write_bytes,
    jn.io_read_ops,
    jn.io_write_ops,
    jn.page_faults,
    jn.major_page_faults,
    jn.memory_limit_hits,
    jn.oom_kills,
    jn.energy_j,
    jn.cpus_allocated,
    jn.memory_used_bytes,
    jn.memory_rss_bytes,
    jn.memory_cache_bytes,
    jn.memory_shmem_bytes,
    jn.memory_swap_bytes,
    jn.memory_limit_bytes,
    jn.memory_peak_bytes,
    jn.processes,
    jn.threads
from tsobs.job j
join tsobs.job_node jn using (job_key)
join tsobs.node n using (node_id)
where
    j.state = 'running'
    and j.deleted_at is null
    and jn.last_sample_at > now() - 3 * least(greatest(jn.interval_s, n.interval_s), 300) * interval '1 second'
    and ($1::text is null or j.cluster = $1)
    and ($2::text is null or j.user_name = $2)

-- name: metrics_other_runs
-- The other runs, ended or not, of jobs that run: their totals stay in the counters, which must not fall when a
-- job is started again.
-- $1 cluster or null for all, $2 user or null for all
select distinct o.job_key
from tsobs.job j
join tsobs.job o on o.job_id = j.job_id and o.cluster = j.cluster
where
    j.state = 'running'
    and j.deleted_at is null
    and o.job_key <> j.job_key
    and o.user_name is not distinct from j.user_name
    and ($1::text is null or j.cluster = $1)
    and ($2::text is null or j.user_name = $2)

-- name: metrics_job_node_of_runs
-- $1 job_key bigint[]
select
    job_key,
    cluster,
    job_id,
    coalesce(user_name, '') as user_name,
    node,
    cpu_user_s,
    cpu_system_s,
    cpu_throttled_s,
    cpu_pressure_some_s,
    cpu_pressure_full_s,
    memory_pressure_some_s,
    memory_pressure_full_s,
    io_pressure_some_s,
    io_pressure_full_s,
    io_read_bytes,
    io_write_bytes,
    io_read_ops,
    io_write_ops,
    page_faults,
    major_page_faults,
    memory_limit_hits,
    oom_kills,
    energy_j
from tsobs.job_node
where job_key = any($1)

-- name: metrics_job_gpu
-- Totals are the job's share of the device; gauges are the device's own.
-- $1 cluster or null for all, $2 user or null for all
select
    j.job_key,
    coalesce(j.start_at, j.first_seen_at) as started_at,
    j.cluster,
    j.job_id,
    jg.node,
    jg.gpu,
    coalesce(jg.vendor, '') as vendor,
    jg.share,
    jg.utilization_ratio,
    jg.memory_used_bytes,
    jg.power_w,
    jg.temperature_celsius,
    jg.known_s,
    jg.busy_s,
    jg.energy_j
from tsobs.job j
join tsobs.job_gpu jg using (job_key)
join tsobs.gpu g using (gpu_id)
where
    j.state = 'running'
    and j.deleted_at is null
    and jg.last_sample_at > now() - 3 * least(g.interval_s, 300) * interval '1 second'
    and ($1::text is null or j.cluster = $1)
    and ($2::text is null or j.user_name = $2)

-- name: metrics_job_gpu_of_runs
-- $1 job_key bigint[]
select job_key, cluster, job_id, node, gpu, coalesce(vendor, '') as vendor, known_s, busy_s, energy_j
from tsobs.job_gpu
where job_key = any($1)

-- name: metrics_job_node_gpu
-- A job's GPUs on one node together, each weighted by the share that the job holds of it.
-- $1 cluster or null for all, $2 user or null for all
select
    j.job_key,
    coalesce(min(j.start_at), min(j.first_seen_at)) as started_at,
    j.cluster,
    j.job_id,
    coalesce(j.user_name, '') as user_name,
    j.user_name is null and min(jg.first_sample_at) > now() - interval '60 seconds' as is_waiting,
    jg.node,
    sum(jg.utilization_ratio * jg.share)
        / nullif(sum(jg.share) filter (where jg.utilization_ratio is not null), 0) as utilization_ratio
from tsobs.job j
join tsobs.job_gpu jg using (job_key)
join tsobs.gpu g using (gpu_id)
where
    j.state = 'running'
    and j.deleted_at is null
    and jg.last_sample_at > now() - 3 * least(g.interval_s, 300) * interval '1 second'
    and ($1::text is null or j.cluster = $1)
    and ($2::text is null or j.user_name = $2)
group by j.job_key, j.cluster, j.job_id, j.user_name, jg.node

-- name: metrics_gpu
-- $1 cluster or null for all
select
    g.cluster,
    g.node,
    g.gpu,
    coalesce(g.vendor, '') as vendor,
    1 as info,
    coalesce(g.model, '') as model,
    coalesce(g.parent_gpu, '') as parent_gpu,
    g.utilization_ratio,
    g.memory_utilization_ratio,
    g.sm_active_ratio,
    g.sm_occupancy_ratio,
    g.tensor_active_ratio,
    g.dram_active_ratio,
    g.encoder_ratio,
    g.decoder_ratio,
    g.memory_used_bytes,
    g.memory_total_bytes,
    g.power_w,
    g.power_limit_w,
    g.temperature_celsius,
    g.memory_temperature_celsius,
    g.sm_clock_hz,
    g.memory_clock_hz,
    g.fan_ratio,
    g.busy_s,
    g.energy_j,
    g.ecc_corrected_errors,
    g.ecc_uncorrected_errors,
    g.xid_errors,
    g.pcie_rx_bytes,
    g.pcie_tx_bytes,
    g.nvlink_rx_bytes,
    g.nvlink_tx_bytes,
    g.throttled_power_s,
    g.throttled_thermal_s
from tsobs.gpu g
where
    g.last_sample_at > now() - 3 * least(g.interval_s, 300) * interval '1 second'
    and ($1::text is null or g.cluster = $1)

-- name: metrics_node
-- $1 cluster or null for all
select
    n.node_id,
    n.cluster,
    n.node,
    1 as info,
    coalesce(n.agent_version, '') as agent_version,
    extract(epoch from n.last_sample_at)::float8 as last_sample_s,
    n.cpu_usage_ratio,
    n.memory_total_bytes - n.memory_available_bytes as memory_used_bytes,
    g.gpu_utilization_ratio,
    n.cpu_user_s,
    n.cpu_nice_s,
    n.cpu_system_s,
    n.cpu_idle_s,
    n.cpu_iowait_s,
    n.cpu_irq_s,
    n.cpu_softirq_s,
    n.cpu_steal_s,
    n.network_receive_bytes,
    n.network_transmit_bytes,
    n.network_receive_packets,
    n.network_transmit_packets,
    n.network_receive_errors,
    n.network_transmit_errors,
    n.disk_read_bytes,
    n.disk_write_bytes,
    n.cpu_pressure_some_s,
    n.memory_pressure_some_s,
    n.memory_pressure_full_s,
    n.io_pressure_some_s,
    n.io_pressure_full_s,
    n.energy_package_j,
    n.energy_dram_j,
    n.energy_platform_j,
    n.energy_unattributed_j,
    n.cpus,
    n.memory_total_bytes,
    n.memory_available_bytes,
    n.memory_free_bytes,
    n.memory_cached_bytes,
    n.memory_buffers_bytes,
    n.swap_total_bytes,
    n.swap_free_bytes,
    n.load1,
    n.load5,
    n.load15,
    n.processes_running,
    n.processes,
    n.power_w
from tsobs.node n
left join (
    select g.cluster, g.node, avg(g.utilization_ratio) as gpu_utilization_ratio
    from tsobs.gpu g
    where g.last_sample_at > now() - 3 * least(g.interval_s, 300) * interval '1 second'
    group by g.cluster, g.node
) as g on g.cluster = n.cluster and g.node = n.node
where
    n.last_sample_at > now() - 3 * least(n.interval_s, 300) * interval '1 second'
    and ($1::text is null or n.cluster = $1)

-- name: metrics_service
-- One row: when anything was last sampled.
-- $1 cluster or null for all
select extract(epoch from max(last_sample_at))::float8 as last_collect_s
from tsobs.node
where $1::text is null or cluster = $1

-- name: job_counts_settled
-- Counts of the jobs that no longer run, up to a key: the part that need not be counted at each scrape.
-- $1 cluster or null for all, $2 newest job_key to count
select state, count(*) filter (where deleted_at is null) as jobs, count(*) as ever
from tsobs.job
where job_key <= $2 and ($1::text is null or cluster = $1)
group by state

-- name: job_counts_recent
-- Counts of what is pending or running up to a key, and of every job after it.
-- $1 cluster or null for all, $2 newest job_key that job_counts_settled counted
select state, count(*) filter (where deleted_at is null) as jobs, 0 as ever
from tsobs.job
where job_key <= $2 and state in ('pending', 'running') and ($1::text is null or cluster = $1)
group by state
union all
select state, count(*) filter (where deleted_at is null) as jobs, count(*) as ever
from tsobs.job
where job_key > $2 and ($1::text is null or cluster = $1)
group by state

-- name: newest_job_key
select coalesce(max(job_key), 0) from tsobs.job

-- name: job_counts_of_user
-- $1 cluster or null for all, $2 user
select state, count(*) filter (where deleted_at is null) as jobs, count(*) as ever
from tsobs.job
where user_name = $2 and ($1::text is null or cluster = $1)
group by state
