-- Running totals, added in the transaction that COPYs the samples. A flush puts one row a thing into a temporary
-- table (same names as the target) and these statements add it: deltas add up, gauges and maxima are those
-- of the newest row. Null is "not measured": it adds nothing (add_known), but a gauge that is no longer measured
-- goes back to null. Rows are taken in key order, so that two flushes do not wait for each other in a circle.

-- name: create_job_node_add
create temp table if not exists job_node_add on commit delete rows as select * from tsobs_store.job_node with no data

-- name: create_job_gpu_add
create temp table if not exists job_gpu_add on commit delete rows as select * from tsobs_store.job_gpu with no data

-- name: create_gpu_add
create temp table if not exists gpu_add on commit delete rows as select * from tsobs_store.gpu with no data

-- name: create_node_add
create temp table if not exists node_add on commit delete rows as select * from tsobs_store.node with no data

-- name: add_job_node
insert into tsobs_store.job_node as t (
    job_key, node_id, interval_s, sample_count, first_sample_at, first_interval_s, last_sample_at, known_s,
    cpu_known_s, cpu_capacity_s, cpu_in_capacity_s, memory_used_byte_s, memory_known_s, cpu_usage_ratio_max,
    memory_used_bytes_max, memory_rss_bytes_max, memory_swap_bytes_max, cpu_usage_ratio, cpu_user_s,
    cpu_system_s, cpu_throttled_s, cpu_pressure_some_s, cpu_pressure_full_s, memory_pressure_some_s,
    memory_pressure_full_s, io_pressure_some_s, io_pressure_full_s, io_read_bytes, io_write_bytes, io_read_ops,
    io_write_ops, page_faults, major_page_faults, memory_limit_hits, oom_kills, energy_j, cpus_allocated,
    memory_used_bytes, memory_rss_bytes, memory_cache_bytes, memory_shmem_bytes, memory_swap_bytes,
    memory_limit_bytes, memory_peak_bytes, processes, threads
)
select
    job_key, node_id, interval_s, sample_count, first_sample_at, first_interval_s, last_sample_at, known_s,
    cpu_known_s, cpu_capacity_s, cpu_in_capacity_s, memory_used_byte_s, memory_known_s, cpu_usage_ratio_max,
    memory_used_bytes_max, memory_rss_bytes_max, memory_swap_bytes_max, cpu_usage_ratio, cpu_user_s,
    cpu_system_s, cpu_throttled_s, cpu_pressure_some_s, cpu_pressure_full_s, memory_pressure_some_s,
    memory_pressure_full_s, io_pressure_some_s, io_pressure_full_s, io_read_bytes, io_write_bytes, io_read_ops,
    io_write_ops, page_faults, major_page_faults, memory_limit_hits, oom_kills, energy_j, cpus_allocated,
    memory_used_bytes, memory_rss_bytes, memory_cache_bytes, memory_shmem_bytes, memory_swap_bytes,
    memory_limit_bytes, memory_peak_bytes, processes, threads
from job_node_add
order by job_key, node_id
on conflict (job_key, node_id) do update set
    sample_count = t.sample_count + excluded.sample_count,
    known_s = t.known_s + excluded.known_s,
    cpu_known_s = tsobs_store.add_known(t.cpu_known_s, excluded.cpu_known_s),
    cpu_capacity_s = tsobs_store.add_known(t.cpu_capacity_s, excluded.cpu_capacity_s),
    cpu_in_capacity_s = tsobs_store.add_known(t.cpu_in_capacity_s, excluded.cpu_in_capacity_s),
    memory_used_byte_s = tsobs_store.add_known(t.memory_used_byte_s, excluded.memory_used_byte_s),
    memory_known_s = tsobs_store.add_known(t.memory_known_s, excluded.memory_known_s),
    cpu_user_s = tsobs_store.add_known(t.cpu_user_s, excluded.cpu_user_s),
    cpu_system_s = tsobs_store.add_known(t.cpu_system_s, excluded.cpu_system_s),
    cpu_throttled_s = tsobs_store.add_known(t.cpu_throttled_s, excluded.cpu_throttled_s),
    cpu_pressure_some_s = tsobs_store.add_known(t.cpu_pressure_some_s, excluded.cpu_pressure_some_s),
    cpu_pressure_full_s = tsobs_store.add_known(t.cpu_pressure_full_s, excluded.cpu_pressure_full_s),
    memory_pressure_some_s = tsobs_store.add_known(t.memory_pressure_some_s, excluded.memory_pressure_some_s),
    memory_pressure_full_s = tsobs_store.add_known(t.memory_pressure_full_s, excluded.memory_pressure_full_s),
    io_pressure_some_s = tsobs_store.add_known(t.io_pressure_some_s, excluded.io_pressure_some_s),
    io_pressure_full_s = tsobs_store.add_known(t.io_pressure_full_s, excluded.io_pressure_full_s),
    io_read_bytes = tsobs_store.add_known(t.io_read_bytes, excluded.io_read_bytes),
    io_write_bytes = tsobs_store.add_known(t.io_write_bytes, excluded.io_write_bytes),
    io_read_ops = tsobs_store.add_known(t.io_read_ops, excluded.io_read_ops),
    io_write_ops = tsobs_store.add_known(t.io_write_ops, excluded.io_write_ops),
    page_faults = tsobs_store.add_known(t.page_faults, excluded.page_faults),
    major_page_faults = tsobs_store.add_known(t.major_page_faults, excluded.major_page_faults),
    memory_limit_hits = tsobs_store.add_known(t.memory_limit_hits, excluded.memory_limit_hits),
    oom_kills = tsobs_store.add_known(t.oom_kills, excluded.oom_kills),
    energy_j = tsobs_store.add_known(t.energy_j, excluded.energy_j),
    cpu_usage_ratio_max = greatest(t.cpu_usage_ratio_max, excluded.cpu_usage_ratio_max),
    memory_used_bytes_max = greatest(t.memory_used_bytes_max, excluded.memory_used_bytes_max),
    memory_rss_bytes_max = greatest(t.memory_rss_bytes_max, excluded.memory_rss_bytes_max),
    memory_swap_bytes_max = greatest(t.memory_swap_bytes_max, excluded.memory_swap_bytes_max),
    interval_s = case when excluded.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then excluded.interval_s else t.interval_s end,
    cpu_usage_ratio = case when excluded.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then excluded.cpu_usage_ratio else t.cpu_usage_ratio end,
    cpus_allocated = case when excluded.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then excluded.cpus_allocated else t.cpus_allocated end,
    memory_used_bytes = case when excluded.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then excluded.memory_used_bytes else t.memory_used_bytes end,
    memory_rss_bytes = case when excluded.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then excluded.memory_rss_bytes else t.memory_rss_bytes end,
    memory_cache_bytes = case when excluded.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then excluded.memory_cache_bytes else t.memory_cache_bytes end,
    memory_shmem_bytes = case when excluded.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then excluded.memory_shmem_bytes else t.memory_shmem_bytes end,
    memory_swap_bytes = case when excluded.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then excluded.memory_swap_bytes else t.memory_swap_bytes end,
    memory_limit_bytes = case when excluded.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then excluded.memory_limit_bytes else t.memory_limit_bytes end,
    memory_peak_bytes = case when excluded.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then excluded.memory_peak_bytes else t.memory_peak_bytes end,
    processes = case when excluded.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then excluded.processes else t.processes end,
    threads = case when excluded.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then excluded.threads else t.threads end,
    first_interval_s = case when excluded.first_sample_at < t.first_sample_at or t.first_sample_at is null
        then excluded.first_interval_s else t.first_interval_s end,
    first_sample_at = least(t.first_sample_at, excluded.first_sample_at),
    last_sample_at = greatest(t.last_sample_at, excluded.last_sample_at)

-- name: add_job_gpu
insert into tsobs_store.job_gpu as t (
    job_key, gpu_id, node_id, share, sample_count, first_sample_at, last_sample_at, known_s, busy_s,
    busy_known_s, energy_j, utilization_ratio, utilization_ratio_max, memory_used_bytes, memory_used_bytes_max,
    power_w, temperature_celsius
)
select
    job_key, gpu_id, node_id, share, sample_count, first_sample_at, last_sample_at, known_s, busy_s,
    busy_known_s, energy_j, utilization_ratio, utilization_ratio_max, memory_used_bytes, memory_used_bytes_max,
    power_w, temperature_celsius
from job_gpu_add
order by job_key, gpu_id
on conflict (job_key, gpu_id) do update set
    sample_count = t.sample_count + excluded.sample_count,
    known_s = t.known_s + excluded.known_s,
    busy_s = tsobs_store.add_known(t.busy_s, excluded.busy_s),
    busy_known_s = tsobs_store.add_known(t.busy_known_s, excluded.busy_known_s),
    energy_j = tsobs_store.add_known(t.energy_j, excluded.energy_j),
    utilization_ratio_max = greatest(t.utilization_ratio_max, excluded.utilization_ratio_max),
    memory_used_bytes_max = greatest(t.memory_used_bytes_max, excluded.memory_used_bytes_max),
    share = case when excluded.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then excluded.share else t.share end,
    utilization_ratio = case when excluded.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then excluded.utilization_ratio else t.utilization_ratio end,
    memory_used_bytes = case when excluded.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then excluded.memory_used_bytes else t.memory_used_bytes end,
    power_w = case when excluded.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then excluded.power_w else t.power_w end,
    temperature_celsius = case when excluded.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then excluded.temperature_celsius else t.temperature_celsius end,
    first_sample_at = least(t.first_sample_at, excluded.first_sample_at),
    last_sample_at = greatest(t.last_sample_at, excluded.last_sample_at)

-- name: add_gpu
update tsobs_store.gpu t set
    sample_count = t.sample_count + a.sample_count,
    known_s = t.known_s + a.known_s,
    busy_s = tsobs_store.add_known(t.busy_s, a.busy_s),
    busy_known_s = tsobs_store.add_known(t.busy_known_s, a.busy_known_s),
    energy_j = tsobs_store.add_known(t.energy_j, a.energy_j),
    ecc_corrected_errors = tsobs_store.add_known(t.ecc_corrected_errors, a.ecc_corrected_errors),
    ecc_uncorrected_errors = tsobs_store.add_known(t.ecc_uncorrected_errors, a.ecc_uncorrected_errors),
    xid_errors = tsobs_store.add_known(t.xid_errors, a.xid_errors),
    pcie_rx_bytes = tsobs_store.add_known(t.pcie_rx_bytes, a.pcie_rx_bytes),
    pcie_tx_bytes = tsobs_store.add_known(t.pcie_tx_bytes, a.pcie_tx_bytes),
    nvlink_rx_bytes = tsobs_store.add_known(t.nvlink_rx_bytes, a.nvlink_rx_bytes),
    nvlink_tx_bytes = tsobs_store.add_known(t.nvlink_tx_bytes, a.nvlink_tx_bytes),
    throttled_power_s = tsobs_store.add_known(t.throttled_power_s, a.throttled_power_s),
    throttled_thermal_s = tsobs_store.add_known(t.throttled_thermal_s, a.throttled_thermal_s),
    interval_s = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.interval_s else t.interval_s end,
    utilization_ratio = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.utilization_ratio else t.utilization_ratio end,
    memory_utilization_ratio = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.memory_utilization_ratio else t.memory_utilization_ratio end,
    sm_active_ratio = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.sm_active_ratio else t.sm_active_ratio end,
    sm_occupancy_ratio = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.sm_occupancy_ratio else t.sm_occupancy_ratio end,
    tensor_active_ratio = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.tensor_active_ratio else t.tensor_active_ratio end,
    dram_active_ratio = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.dram_active_ratio else t.dram_active_ratio end,
    encoder_ratio = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.encoder_ratio else t.encoder_ratio end,
    decoder_ratio = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.decoder_ratio else t.decoder_ratio end,
    memory_used_bytes = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.memory_used_bytes else t.memory_used_bytes end,
    -- Told with the GPU itself, too (ensure_gpu): a sample without it must not forget it.
    memory_total_bytes = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then coalesce(a.memory_total_bytes, t.memory_total_bytes) else t.memory_total_bytes end,
    power_w = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.power_w else t.power_w end,
    power_limit_w = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.power_limit_w else t.power_limit_w end,
    temperature_celsius = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.temperature_celsius else t.temperature_celsius end,
    memory_temperature_celsius = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.memory_temperature_celsius else t.memory_temperature_celsius end,
    sm_clock_hz = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.sm_clock_hz else t.sm_clock_hz end,
    memory_clock_hz = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.memory_clock_hz else t.memory_clock_hz end,
    fan_ratio = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.fan_ratio else t.fan_ratio end,
    first_sample_at = least(t.first_sample_at, a.first_sample_at),
    last_sample_at = greatest(t.last_sample_at, a.last_sample_at)
from (select * from gpu_add order by gpu_id) as a
where t.gpu_id = a.gpu_id

-- name: add_node
update tsobs_store.node t set
    sample_count = t.sample_count + a.sample_count,
    known_s = t.known_s + a.known_s,
    cpu_user_s = tsobs_store.add_known(t.cpu_user_s, a.cpu_user_s),
    cpu_nice_s = tsobs_store.add_known(t.cpu_nice_s, a.cpu_nice_s),
    cpu_system_s = tsobs_store.add_known(t.cpu_system_s, a.cpu_system_s),
    cpu_idle_s = tsobs_store.add_known(t.cpu_idle_s, a.cpu_idle_s),
    cpu_iowait_s = tsobs_store.add_known(t.cpu_iowait_s, a.cpu_iowait_s),
    cpu_irq_s = tsobs_store.add_known(t.cpu_irq_s, a.cpu_irq_s),
    cpu_softirq_s = tsobs_store.add_known(t.cpu_softirq_s, a.cpu_softirq_s),
    cpu_steal_s = tsobs_store.add_known(t.cpu_steal_s, a.cpu_steal_s),
    network_receive_bytes = tsobs_store.add_known(t.network_receive_bytes, a.network_receive_bytes),
    network_transmit_bytes = tsobs_store.add_known(t.network_transmit_bytes, a.network_transmit_bytes),
    network_receive_packets = tsobs_store.add_known(t.network_receive_packets, a.network_receive_packets),
    network_transmit_packets = tsobs_store.add_known(t.network_transmit_packets, a.network_transmit_packets),
    network_receive_errors = tsobs_store.add_known(t.network_receive_errors, a.network_receive_errors),
    network_transmit_errors = tsobs_store.add_known(t.network_transmit_errors, a.network_transmit_errors),
    disk_read_bytes = tsobs_store.add_known(t.disk_read_bytes, a.disk_read_bytes),
    disk_write_bytes = tsobs_store.add_known(t.disk_write_bytes, a.disk_write_bytes),
    cpu_pressure_some_s = tsobs_store.add_known(t.cpu_pressure_some_s, a.cpu_pressure_some_s),
    memory_pressure_some_s = tsobs_store.add_known(t.memory_pressure_some_s, a.memory_pressure_some_s),
    memory_pressure_full_s = tsobs_store.add_known(t.memory_pressure_full_s, a.memory_pressure_full_s),
    io_pressure_some_s = tsobs_store.add_known(t.io_pressure_some_s, a.io_pressure_some_s),
    io_pressure_full_s = tsobs_store.add_known(t.io_pressure_full_s, a.io_pressure_full_s),
    energy_package_j = tsobs_store.add_known(t.energy_package_j, a.energy_package_j),
    energy_dram_j = tsobs_store.add_known(t.energy_dram_j, a.energy_dram_j),
    energy_platform_j = tsobs_store.add_known(t.energy_platform_j, a.energy_platform_j),
    energy_unattributed_j = tsobs_store.add_known(t.energy_unattributed_j, a.energy_unattributed_j),
    cpu_usage_ratio = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.cpu_usage_ratio else t.cpu_usage_ratio end,
    interval_s = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.interval_s else t.interval_s end,
    cpus = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.cpus else t.cpus end,
    memory_total_bytes = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.memory_total_bytes else t.memory_total_bytes end,
    memory_available_bytes = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.memory_available_bytes else t.memory_available_bytes end,
    memory_free_bytes = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.memory_free_bytes else t.memory_free_bytes end,
    memory_cached_bytes = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.memory_cached_bytes else t.memory_cached_bytes end,
    memory_buffers_bytes = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.memory_buffers_bytes else t.memory_buffers_bytes end,
    swap_total_bytes = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.swap_total_bytes else t.swap_total_bytes end,
    swap_free_bytes = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.swap_free_bytes else t.swap_free_bytes end,
    load1 = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.load1 else t.load1 end,
    load5 = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.load5 else t.load5 end,
    load15 = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.load15 else t.load15 end,
    processes_running = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.processes_running else t.processes_running end,
    processes = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.processes else t.processes end,
    power_w = case when a.last_sample_at >= coalesce(t.last_sample_at, '-infinity') then a.power_w else t.power_w end,
    first_sample_at = least(t.first_sample_at, a.first_sample_at),
    last_sample_at = greatest(t.last_sample_at, a.last_sample_at)
from (select * from node_add order by node_id) as a
where t.node_id = a.node_id

-- name: mark_gone
-- $1 job_key bigint[], $2 node_id int[], $3 gone_at timestamptz[]
insert into tsobs_store.job_node as t (job_key, node_id, gone_at)
select job_key, node_id, max(gone_at)
from unnest($1::bigint[], $2::int[], $3::timestamptz[]) as g (job_key, node_id, gone_at)
group by job_key, node_id
order by job_key, node_id
on conflict (job_key, node_id) do update set gone_at = greatest(t.gone_at, excluded.gone_at)
