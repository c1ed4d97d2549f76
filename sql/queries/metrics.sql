-- What /metrics shows. The catalogue (query/catalogue.py) names the columns of these statements.
-- Alive means: the job runs, its agent did not say that it is gone, and it was sampled within 3 intervals. The
-- interval is the longer of the row's and its node's (a job's last row may be short), and at most 5 minutes (an
-- agent that caught up merges intervals).
--
-- A statement with array_send() is one row of columns (query/table.py): numbers as an array in the binary format,
-- with NaN for null so that each has the same width; texts as JSON. All aggregates see the rows in one order. Reading
-- 28 numbers of 10,000 rows costs PostgreSQL and the service 70 and 2 ms of CPU so, 90 and 18 by binary COPY, 55 and 27 as
-- rows, which are not columns yet then. date_part() gives float8, extract() numeric, which is several times as dear.

-- name: plan_for_metrics
-- What is alive is in memory, and is to be reached by index however long the history is.
select set_config('random_page_cost', '1.1', true)

-- name: metrics_job
-- Jobs that run; whether one is alive is for its rows of metrics_job_node to say.
-- $1 cluster or null for all, $2 user or null for all
select
    array_send(array_agg(j.job_key)) as job_key,
    array_send(array_agg(date_part('epoch', coalesce(j.start_at, j.first_seen_at)))) as started_s,
    json_agg(j.cluster)::text as cluster,
    json_agg(j.job_id)::text as job_id,
    json_agg(coalesce(j.user_name, ''))::text as user_name,
    json_agg(j.scheduler)::text as scheduler,
    json_agg(coalesce(j.name, ''))::text as name,
    json_agg(coalesce(j.account, ''))::text as account,
    json_agg(coalesce(j.partition, ''))::text as partition,
    json_agg(coalesce(j.qos, ''))::text as qos,
    json_agg(coalesce(j.array_job_id, ''))::text as array_job_id,
    json_agg(coalesce(j.array_task_id, ''))::text as array_task_id,
    json_agg(coalesce(j.het_job_id, ''))::text as het_job_id,
    json_agg(coalesce(j.restart_count::text, ''))::text as restart_count,
    json_agg(coalesce(j.het_offset::text, ''))::text as het_offset,
    array_send(array_agg(coalesce(date_part('epoch', j.start_at), 'NaN'))) as start_s,
    array_send(array_agg(coalesce(greatest(date_part('epoch', now() - j.start_at), 0), 'NaN'))) as runtime_s,
    array_send(array_agg(coalesce(date_part('epoch', j.submit_at), 'NaN'))) as submit_s,
    array_send(array_agg(coalesce(j.time_limit_s::float8, 'NaN'))) as time_limit_s,
    array_send(array_agg(coalesce(j.priority::float8, 'NaN'))) as priority,
    array_send(array_agg(coalesce(j.requested_cpus::float8, 'NaN'))) as requested_cpus,
    array_send(array_agg(coalesce(j.requested_memory_bytes::float8, 'NaN'))) as requested_memory_bytes,
    array_send(array_agg(coalesce(j.requested_gpus::float8, 'NaN'))) as requested_gpus,
    array_send(array_agg(coalesce(j.allocated_cpus::float8, 'NaN'))) as allocated_cpus,
    array_send(array_agg(coalesce(j.allocated_memory_bytes::float8, 'NaN'))) as allocated_memory_bytes,
    array_send(array_agg(coalesce(j.allocated_gpus::float8, 'NaN'))) as allocated_gpus
from tsobs.job j
where
    j.state = 'running'
    and j.deleted_at is null
    and ($1::text is null or j.cluster = $1)
    and ($2::text is null or j.user_name = $2)

-- name: metrics_job_node
-- Its start is with the job, in metrics_job.
-- $1 cluster or null for all, $2 user or null for all
select
    array_send(array_agg(jn.job_key)) as job_key,
    array_send(array_agg(jn.node_id)) as node_id,
    -- A series whose user is not known yet waits: its labels would change.
    array_send(array_agg((jn.user_name is null and jn.first_sample_at > now() - interval '60 seconds')::int)) as is_waiting,
    array_send(array_agg(coalesce(jn.gone_at >= jn.last_sample_at, false)::int)) as is_gone,
    json_agg(jn.cluster)::text as cluster,
    json_agg(jn.job_id)::text as job_id,
    json_agg(coalesce(jn.user_name, ''))::text as user_name,
    json_agg(jn.node)::text as node,
    array_send(array_agg(coalesce(jn.cpu_usage_ratio, 'NaN'))) as cpu_usage_ratio,
    array_send(array_agg(coalesce(jn.cpus_allocated, 'NaN'))) as cpus_allocated,
    array_send(array_agg(coalesce(jn.memory_used_bytes, 'NaN'))) as memory_used_bytes,
    array_send(array_agg(coalesce(jn.memory_rss_bytes, 'NaN'))) as memory_rss_bytes,
    array_send(array_agg(coalesce(jn.memory_cache_bytes, 'NaN'))) as memory_cache_bytes,
    array_send(array_agg(coalesce(jn.memory_shmem_bytes, 'NaN'))) as memory_shmem_bytes,
    array_send(array_agg(coalesce(jn.memory_swap_bytes, 'NaN'))) as memory_swap_bytes,
    array_send(array_agg(coalesce(jn.memory_limit_bytes, 'NaN'))) as memory_limit_bytes,
    array_send(array_agg(coalesce(jn.memory_peak_bytes, 'NaN'))) as memory_peak_bytes,
    array_send(array_agg(coalesce(jn.processes, 'NaN'))) as processes,
    array_send(array_agg(coalesce(jn.threads, 'NaN'))) as threads,
    array_send(array_agg(coalesce(jn.allocated_cpus, 'NaN'))) as allocated_cpus,
    array_send(array_agg(coalesce(jn.allocated_memory_bytes::float8, 'NaN'))) as allocated_memory_bytes,
    array_send(array_agg(coalesce(jn.known_s, 'NaN'))) as known_s,
    array_send(array_agg(coalesce(jn.cpu_capacity_s, 'NaN'))) as cpu_capacity_s,
    array_send(array_agg(coalesce(jn.cpu_user_s, 'NaN'))) as cpu_user_s,
    array_send(array_agg(coalesce(jn.cpu_system_s, 'NaN'))) as cpu_system_s,
    array_send(array_agg(coalesce(jn.cpu_throttled_s, 'NaN'))) as cpu_throttled_s,
    array_send(array_agg(coalesce(jn.cpu_pressure_some_s, 'NaN'))) as cpu_pressure_some_s,
    array_send(array_agg(coalesce(jn.cpu_pressure_full_s, 'NaN'))) as cpu_pressure_full_s,
    array_send(array_agg(coalesce(jn.memory_pressure_some_s, 'NaN'))) as memory_pressure_some_s,
    array_send(array_agg(coalesce(jn.memory_pressure_full_s, 'NaN'))) as memory_pressure_full_s,
    array_send(array_agg(coalesce(jn.io_pressure_some_s, 'NaN'))) as io_pressure_some_s,
    array_send(array_agg(coalesce(jn.io_pressure_full_s, 'NaN'))) as io_pressure_full_s,
    array_send(array_agg(coalesce(jn.io_read_bytes, 'NaN'))) as io_read_bytes,
    array_send(array_agg(coalesce(jn.io_write_bytes, 'NaN'))) as io_write_bytes,
    array_send(array_agg(coalesce(jn.io_read_ops, 'NaN'))) as io_read_ops,
    array_send(array_agg(coalesce(jn.io_write_ops, 'NaN'))) as io_write_ops,
    array_send(array_agg(coalesce(jn.page_faults, 'NaN'))) as page_faults,
    array_send(array_agg(coalesce(jn.major_page_faults, 'NaN'))) as major_page_faults,
    array_send(array_agg(coalesce(jn.memory_limit_hits, 'NaN'))) as memory_limit_hits,
    array_send(array_agg(coalesce(jn.oom_kills, 'NaN'))) as oom_kills,
    array_send(array_agg(coalesce(jn.energy_j, 'NaN'))) as energy_j
from tsobs.job_node jn
join tsobs.node n using (node_id)
where
    jn.job_key in (select j.job_key from tsobs.job j where j.state = 'running' and j.deleted_at is null)
    and jn.last_sample_at > now() - 3 * least(greatest(jn.interval_s, n.interval_s), 300) * interval '1 second'
    and ($1::text is null or jn.cluster = $1)
    and ($2::text is null or jn.user_name = $2)

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
    array_send(array_agg(job_key)) as job_key,
    json_agg(cluster)::text as cluster,
    json_agg(job_id)::text as job_id,
    json_agg(coalesce(user_name, ''))::text as user_name,
    json_agg(node)::text as node,
    array_send(array_agg(coalesce(known_s, 'NaN'))) as known_s,
    array_send(array_agg(coalesce(cpu_capacity_s, 'NaN'))) as cpu_capacity_s,
    array_send(array_agg(coalesce(cpu_user_s, 'NaN'))) as cpu_user_s,
    array_send(array_agg(coalesce(cpu_system_s, 'NaN'))) as cpu_system_s,
    array_send(array_agg(coalesce(cpu_throttled_s, 'NaN'))) as cpu_throttled_s,
    array_send(array_agg(coalesce(cpu_pressure_some_s, 'NaN'))) as cpu_pressure_some_s,
    array_send(array_agg(coalesce(cpu_pressure_full_s, 'NaN'))) as cpu_pressure_full_s,
    array_send(array_agg(coalesce(memory_pressure_some_s, 'NaN'))) as memory_pressure_some_s,
    array_send(array_agg(coalesce(memory_pressure_full_s, 'NaN'))) as memory_pressure_full_s,
    array_send(array_agg(coalesce(io_pressure_some_s, 'NaN'))) as io_pressure_some_s,
    array_send(array_agg(coalesce(io_pressure_full_s, 'NaN'))) as io_pressure_full_s,
    array_send(array_agg(coalesce(io_read_bytes, 'NaN'))) as io_read_bytes,
    array_send(array_agg(coalesce(io_write_bytes, 'NaN'))) as io_write_bytes,
    array_send(array_agg(coalesce(io_read_ops, 'NaN'))) as io_read_ops,
    array_send(array_agg(coalesce(io_write_ops, 'NaN'))) as io_write_ops,
    array_send(array_agg(coalesce(page_faults, 'NaN'))) as page_faults,
    array_send(array_agg(coalesce(major_page_faults, 'NaN'))) as major_page_faults,
    array_send(array_agg(coalesce(memory_limit_hits, 'NaN'))) as memory_limit_hits,
    array_send(array_agg(coalesce(oom_kills, 'NaN'))) as oom_kills,
    array_send(array_agg(coalesce(energy_j, 'NaN'))) as energy_j
from tsobs.job_node
where job_key = any($1)

-- name: metrics_job_gpu
-- Not older than a row can be and alive; its GPU's interval is in metrics_gpu, its start in metrics_job.
-- Totals are the job's share of the device; gauges are the device's own.
-- $1 cluster or null for all, $2 user or null for all
select
    array_send(array_agg(jg.job_key)) as job_key,
    array_send(array_agg(jg.gpu_id)) as gpu_id,
    array_send(array_agg((jg.user_name is null and jg.first_sample_at > now() - interval '60 seconds')::int)) as is_waiting,
    array_send(array_agg(date_part('epoch', now() - jg.last_sample_at))) as age_s,
    json_agg(coalesce(jg.user_name, ''))::text as user_name,
    json_agg(jg.cluster)::text as cluster,
    json_agg(jg.job_id)::text as job_id,
    json_agg(jg.node)::text as node,
    json_agg(jg.gpu)::text as gpu,
    json_agg(coalesce(jg.vendor, ''))::text as vendor,
    array_send(array_agg(coalesce(jg.share, 'NaN'))) as share,
    array_send(array_agg(coalesce(jg.utilization_ratio, 'NaN'))) as utilization_ratio,
    array_send(array_agg(coalesce(jg.memory_used_bytes, 'NaN'))) as memory_used_bytes,
    array_send(array_agg(coalesce(jg.power_w, 'NaN'))) as power_w,
    array_send(array_agg(coalesce(jg.temperature_celsius, 'NaN'))) as temperature_celsius,
    array_send(array_agg(coalesce(jg.known_s, 'NaN'))) as known_s,
    array_send(array_agg(coalesce(jg.busy_s, 'NaN'))) as busy_s,
    array_send(array_agg(coalesce(jg.energy_j, 'NaN'))) as energy_j
from tsobs.job_gpu jg
where
    jg.job_key in (select j.job_key from tsobs.job j where j.state = 'running' and j.deleted_at is null)
    and jg.last_sample_at > now() - interval '15 minutes'
    and ($1::text is null or jg.cluster = $1)
    and ($2::text is null or jg.user_name = $2)

-- name: metrics_job_gpu_of_runs
-- $1 job_key bigint[]
select
    array_send(array_agg(job_key)) as job_key,
    json_agg(cluster)::text as cluster,
    json_agg(job_id)::text as job_id,
    json_agg(node)::text as node,
    json_agg(gpu)::text as gpu,
    json_agg(coalesce(vendor, ''))::text as vendor,
    array_send(array_agg(coalesce(known_s, 'NaN'))) as known_s,
    array_send(array_agg(coalesce(busy_s, 'NaN'))) as busy_s,
    array_send(array_agg(coalesce(energy_j, 'NaN'))) as energy_j
from tsobs.job_gpu
where job_key = any($1)

-- name: metrics_gpu
-- $1 cluster or null for all
select
    array_send(array_agg(g.gpu_id)) as gpu_id,
    array_send(array_agg(coalesce(g.interval_s, 'NaN'))) as interval_s,
    json_agg(g.cluster)::text as cluster,
    json_agg(g.node)::text as node,
    json_agg(g.gpu)::text as gpu,
    json_agg(coalesce(g.vendor, ''))::text as vendor,
    json_agg(coalesce(g.model, ''))::text as model,
    json_agg(coalesce(g.parent_gpu, ''))::text as parent_gpu,
    array_send(array_agg(coalesce(g.utilization_ratio, 'NaN'))) as utilization_ratio,
    array_send(array_agg(coalesce(g.memory_utilization_ratio, 'NaN'))) as memory_utilization_ratio,
    array_send(array_agg(coalesce(g.sm_active_ratio, 'NaN'))) as sm_active_ratio,
    array_send(array_agg(coalesce(g.sm_occupancy_ratio, 'NaN'))) as sm_occupancy_ratio,
    array_send(array_agg(coalesce(g.tensor_active_ratio, 'NaN'))) as tensor_active_ratio,
    array_send(array_agg(coalesce(g.dram_active_ratio, 'NaN'))) as dram_active_ratio,
    array_send(array_agg(coalesce(g.encoder_ratio, 'NaN'))) as encoder_ratio,
    array_send(array_agg(coalesce(g.decoder_ratio, 'NaN'))) as decoder_ratio,
    array_send(array_agg(coalesce(g.memory_used_bytes, 'NaN'))) as memory_used_bytes,
    array_send(array_agg(coalesce(g.memory_total_bytes, 'NaN'))) as memory_total_bytes,
    array_send(array_agg(coalesce(g.power_w, 'NaN'))) as power_w,
    array_send(array_agg(coalesce(g.power_limit_w, 'NaN'))) as power_limit_w,
    array_send(array_agg(coalesce(g.temperature_celsius, 'NaN'))) as temperature_celsius,
    array_send(array_agg(coalesce(g.memory_temperature_celsius, 'NaN'))) as memory_temperature_celsius,
    array_send(array_agg(coalesce(g.sm_clock_hz, 'NaN'))) as sm_clock_hz,
    array_send(array_agg(coalesce(g.memory_clock_hz, 'NaN'))) as memory_clock_hz,
    array_send(array_agg(coalesce(g.fan_ratio, 'NaN'))) as fan_ratio,
    array_send(array_agg(coalesce(g.known_s, 'NaN'))) as known_s,
    array_send(array_agg(coalesce(g.busy_s, 'NaN'))) as busy_s,
    array_send(array_agg(coalesce(g.energy_j, 'NaN'))) as energy_j,
    array_send(array_agg(coalesce(g.ecc_corrected_errors, 'NaN'))) as ecc_corrected_errors,
    array_send(array_agg(coalesce(g.ecc_uncorrected_errors, 'NaN'))) as ecc_uncorrected_errors,
    array_send(array_agg(coalesce(g.xid_errors, 'NaN'))) as xid_errors,
    array_send(array_agg(coalesce(g.pcie_rx_bytes, 'NaN'))) as pcie_rx_bytes,
    array_send(array_agg(coalesce(g.pcie_tx_bytes, 'NaN'))) as pcie_tx_bytes,
    array_send(array_agg(coalesce(g.nvlink_rx_bytes, 'NaN'))) as nvlink_rx_bytes,
    array_send(array_agg(coalesce(g.nvlink_tx_bytes, 'NaN'))) as nvlink_tx_bytes,
    array_send(array_agg(coalesce(g.throttled_power_s, 'NaN'))) as throttled_power_s,
    array_send(array_agg(coalesce(g.throttled_thermal_s, 'NaN'))) as throttled_thermal_s
from tsobs.gpu g
where
    g.last_sample_at > now() - 3 * least(g.interval_s, 300) * interval '1 second'
    and ($1::text is null or g.cluster = $1)

-- name: metrics_node
-- $1 cluster or null for all
select
    array_send(array_agg(n.node_id)) as node_id,
    json_agg(n.cluster)::text as cluster,
    json_agg(n.node)::text as node,
    json_agg(coalesce(n.agent_version, ''))::text as agent_version,
    array_send(array_agg(date_part('epoch', n.last_sample_at))) as last_sample_s,
    array_send(array_agg(coalesce(n.memory_total_bytes - n.memory_available_bytes, 'NaN'))) as memory_used_bytes,
    array_send(array_agg(coalesce(g.gpu_utilization_ratio, 'NaN'))) as gpu_utilization_ratio,
    array_send(array_agg(coalesce(n.cpu_usage_ratio, 'NaN'))) as cpu_usage_ratio,
    array_send(array_agg(coalesce(n.known_s, 'NaN'))) as known_s,
    array_send(array_agg(coalesce(n.cpu_user_s, 'NaN'))) as cpu_user_s,
    array_send(array_agg(coalesce(n.cpu_nice_s, 'NaN'))) as cpu_nice_s,
    array_send(array_agg(coalesce(n.cpu_system_s, 'NaN'))) as cpu_system_s,
    array_send(array_agg(coalesce(n.cpu_idle_s, 'NaN'))) as cpu_idle_s,
    array_send(array_agg(coalesce(n.cpu_iowait_s, 'NaN'))) as cpu_iowait_s,
    array_send(array_agg(coalesce(n.cpu_irq_s, 'NaN'))) as cpu_irq_s,
    array_send(array_agg(coalesce(n.cpu_softirq_s, 'NaN'))) as cpu_softirq_s,
    array_send(array_agg(coalesce(n.cpu_steal_s, 'NaN'))) as cpu_steal_s,
    array_send(array_agg(coalesce(n.network_receive_bytes, 'NaN'))) as network_receive_bytes,
    array_send(array_agg(coalesce(n.network_transmit_bytes, 'NaN'))) as network_transmit_bytes,
    array_send(array_agg(coalesce(n.network_receive_packets, 'NaN'))) as network_receive_packets,
    array_send(array_agg(coalesce(n.network_transmit_packets, 'NaN'))) as network_transmit_packets,
    array_send(array_agg(coalesce(n.network_receive_errors, 'NaN'))) as network_receive_errors,
    array_send(array_agg(coalesce(n.network_transmit_errors, 'NaN'))) as network_transmit_errors,
    array_send(array_agg(coalesce(n.disk_read_bytes, 'NaN'))) as disk_read_bytes,
    array_send(array_agg(coalesce(n.disk_write_bytes, 'NaN'))) as disk_write_bytes,
    array_send(array_agg(coalesce(n.cpu_pressure_some_s, 'NaN'))) as cpu_pressure_some_s,
    array_send(array_agg(coalesce(n.memory_pressure_some_s, 'NaN'))) as memory_pressure_some_s,
    array_send(array_agg(coalesce(n.memory_pressure_full_s, 'NaN'))) as memory_pressure_full_s,
    array_send(array_agg(coalesce(n.io_pressure_some_s, 'NaN'))) as io_pressure_some_s,
    array_send(array_agg(coalesce(n.io_pressure_full_s, 'NaN'))) as io_pressure_full_s,
    array_send(array_agg(coalesce(n.energy_package_j, 'NaN'))) as energy_package_j,
    array_send(array_agg(coalesce(n.energy_dram_j, 'NaN'))) as energy_dram_j,
    array_send(array_agg(coalesce(n.energy_platform_j, 'NaN'))) as energy_platform_j,
    array_send(array_agg(coalesce(n.energy_unattributed_j, 'NaN'))) as energy_unattributed_j,
    array_send(array_agg(coalesce(n.cpus, 'NaN'))) as cpus,
    array_send(array_agg(coalesce(n.memory_total_bytes, 'NaN'))) as memory_total_bytes,
    array_send(array_agg(coalesce(n.memory_available_bytes, 'NaN'))) as memory_available_bytes,
    array_send(array_agg(coalesce(n.memory_free_bytes, 'NaN'))) as memory_free_bytes,
    array_send(array_agg(coalesce(n.memory_cached_bytes, 'NaN'))) as memory_cached_bytes,
    array_send(array_agg(coalesce(n.memory_buffers_bytes, 'NaN'))) as memory_buffers_bytes,
    array_send(array_agg(coalesce(n.swap_total_bytes, 'NaN'))) as swap_total_bytes,
    array_send(array_agg(coalesce(n.swap_free_bytes, 'NaN'))) as swap_free_bytes,
    array_send(array_agg(coalesce(n.load1, 'NaN'))) as load1,
    array_send(array_agg(coalesce(n.load5, 'NaN'))) as load5,
    array_send(array_agg(coalesce(n.load15, 'NaN'))) as load15,
    array_send(array_agg(coalesce(n.processes_running, 'NaN'))) as processes_running,
    array_send(array_agg(coalesce(n.processes, 'NaN'))) as processes,
    array_send(array_agg(coalesce(n.power_w, 'NaN'))) as power_w
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
select date_part('epoch', max(last_sample_at)) as last_collect_s
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
