-- The public relations: names for ids, base units, unit in the name. Grafana panels and users' SQL read these,
-- so a column is never renamed or removed, and a new one goes to the end.

create or replace view tsobs.job as
select
    j.job_key, j.cluster, j.scheduler, j.job_id, j.restart_count, j.run,
    j.array_job_id, j.array_task_id, j.het_job_id, j.het_offset,
    j.name, j.user_name, j.account, j.partition, j.qos, j.priority,
    j.state, j.state_reason, j.raw_state, j.nodes,
    j.requested_cpus, j.requested_memory_bytes, j.requested_gpus,
    j.allocated_cpus, j.allocated_memory_bytes, j.allocated_gpus, j.gpu_vendor, j.gpu_devices,
    j.time_limit_s, j.submit_at, j.start_at, j.end_at,
    j.exit_code, j.signal, j.oom_killed,
    j.scheduler_instance, j.ingest_version, j.first_seen_at, j.created_at, j.updated_at, j.deleted_at,
    j.derived_exit_code
from tsobs_store.job j;

create or replace view tsobs.node as
select
    n.node_id, n.cluster, n.name as node, n.aliases, n.agent_version,
    n.first_seen_at, n.interval_s, n.sample_count, n.first_sample_at, n.last_sample_at, n.known_s,
    n.cpu_user_s, n.cpu_nice_s, n.cpu_system_s, n.cpu_idle_s, n.cpu_iowait_s, n.cpu_irq_s, n.cpu_softirq_s,
    n.cpu_steal_s, n.network_receive_bytes, n.network_transmit_bytes, n.network_receive_packets,
    n.network_transmit_packets, n.network_receive_errors, n.network_transmit_errors, n.disk_read_bytes,
    n.disk_write_bytes, n.cpu_pressure_some_s, n.memory_pressure_some_s, n.memory_pressure_full_s,
    n.io_pressure_some_s, n.io_pressure_full_s, n.energy_package_j, n.energy_dram_j, n.energy_platform_j,
    n.energy_unattributed_j, n.cpus, n.memory_total_bytes, n.memory_available_bytes, n.memory_free_bytes,
    n.memory_cached_bytes, n.memory_buffers_bytes, n.swap_total_bytes, n.swap_free_bytes, n.load1, n.load5,
    n.load15, n.processes_running, n.processes, n.power_w,
    n.cpu_usage_ratio
from tsobs_store.node n;

create or replace view tsobs.gpu as
select
    g.gpu_id, n.cluster, n.name as node, g.uuid as gpu, g.parent_uuid as parent_gpu, g.vendor, g.model,
    g.first_seen_at, g.interval_s, g.sample_count, g.first_sample_at, g.last_sample_at, g.known_s,
    g.busy_s, g.busy_known_s,
    g.utilization_ratio, g.memory_utilization_ratio, g.sm_active_ratio, g.sm_occupancy_ratio,
    g.tensor_active_ratio, g.dram_active_ratio, g.encoder_ratio, g.decoder_ratio, g.memory_used_bytes,
    g.memory_total_bytes, g.power_w, g.power_limit_w, g.temperature_celsius, g.memory_temperature_celsius,
    g.sm_clock_hz, g.memory_clock_hz, g.fan_ratio, g.energy_j, g.ecc_corrected_errors,
    g.ecc_uncorrected_errors, g.xid_errors, g.pcie_rx_bytes, g.pcie_tx_bytes, g.nvlink_rx_bytes,
    g.nvlink_tx_bytes, g.throttled_power_s, g.throttled_thermal_s
from tsobs_store.gpu g
join tsobs_store.node n using (node_id);

-- One job on one node: totals of the deltas, gauges as last seen, maxima.
create or replace view tsobs.job_node as
select
    jn.job_key, j.cluster, j.job_id, j.user_name, n.name as node, jn.node_id,
    jn.allocated_cpus, jn.allocated_memory_bytes, jn.gpu_devices,
    jn.interval_s, jn.sample_count, jn.first_sample_at, jn.first_interval_s, jn.last_sample_at, jn.gone_at, jn.known_s,
    jn.cpu_known_s, jn.cpu_capacity_s, jn.memory_used_byte_s, jn.memory_known_s,
    jn.cpu_usage_ratio, jn.cpu_usage_ratio_max,
    jn.memory_used_bytes_max, jn.memory_rss_bytes_max, jn.memory_swap_bytes_max,
    jn.cpu_user_s, jn.cpu_system_s, jn.cpu_throttled_s, jn.cpu_pressure_some_s, jn.cpu_pressure_full_s,
    jn.memory_pressure_some_s, jn.memory_pressure_full_s, jn.io_pressure_some_s, jn.io_pressure_full_s,
    jn.io_read_bytes, jn.io_write_bytes, jn.io_read_ops, jn.io_write_ops, jn.page_faults,
    jn.major_page_faults, jn.memory_limit_hits, jn.oom_kills, jn.energy_j, jn.cpus_allocated,
    jn.memory_used_bytes, jn.memory_rss_bytes, jn.memory_cache_bytes, jn.memory_shmem_bytes,
    jn.memory_swap_bytes, jn.memory_limit_bytes, jn.memory_peak_bytes, jn.processes, jn.threads,
    jn.cpu_in_capacity_s
from tsobs_store.job_node jn
join tsobs_store.job j using (job_key)
join tsobs_store.node n using (node_id);

-- One job on one GPU; seconds and energy are the job's share of the device.
create or replace view tsobs.job_gpu as
select
    jg.job_key, j.cluster, j.job_id, j.user_name, n.name as node, jg.gpu_id, g.uuid as gpu, g.vendor, g.model,
    jg.share, jg.sample_count, jg.first_sample_at, jg.last_sample_at, jg.known_s, jg.busy_s, jg.busy_known_s,
    jg.energy_j, jg.utilization_ratio, jg.utilization_ratio_max,
    jg.memory_used_bytes, jg.memory_used_bytes_max, jg.power_w, jg.temperature_celsius
from tsobs_store.job_gpu jg
join tsobs_store.job j using (job_key)
join tsobs_store.gpu g using (gpu_id)
join tsobs_store.node n on n.node_id = jg.node_id;

create or replace view tsobs.job_event as
select
    e.event_id, e.job_key, j.cluster, j.job_id, e.at, e.kind, e.actor, e.source, e.correlation_id, e.rank,
    e.payload, e.old, e.new
from tsobs_store.job_event e
join tsobs_store.job j using (job_key);

-- time is the end of the interval that a row tells of.
create or replace view tsobs.job_sample as
select
    s.time, s.job_key, j.cluster, j.job_id, j.user_name, n.name as node, s.node_id, s.interval_s,
    s.cpu_user_s, s.cpu_system_s, s.cpu_throttled_s, s.cpu_pressure_some_s, s.cpu_pressure_full_s,
    s.memory_pressure_some_s, s.memory_pressure_full_s, s.io_pressure_some_s, s.io_pressure_full_s,
    s.io_read_bytes, s.io_write_bytes, s.io_read_ops, s.io_write_ops, s.page_faults, s.major_page_faults,
    s.memory_limit_hits, s.oom_kills, s.energy_j, s.cpus_allocated, s.memory_used_bytes, s.memory_rss_bytes,
    s.memory_cache_bytes, s.memory_shmem_bytes, s.memory_swap_bytes, s.memory_limit_bytes,
    s.memory_peak_bytes, s.processes, s.threads
from tsobs_store.job_sample s
join tsobs_store.job j using (job_key)
join tsobs_store.node n using (node_id);

-- One row more for each job that shares the device: a device total is sum(x * share).
create or replace view tsobs.gpu_sample as
select
    s.time, s.gpu_id, n.cluster, n.name as node, s.node_id, g.uuid as gpu, g.vendor as gpu_vendor,
    s.job_key, j.job_id, j.user_name, s.share, s.interval_s,
    s.utilization_ratio, s.memory_utilization_ratio, s.sm_active_ratio, s.sm_occupancy_ratio,
    s.tensor_active_ratio, s.dram_active_ratio, s.encoder_ratio, s.decoder_ratio, s.memory_used_bytes,
    s.memory_total_bytes, s.power_w, s.power_limit_w, s.temperature_celsius, s.memory_temperature_celsius,
    s.sm_clock_hz, s.memory_clock_hz, s.fan_ratio, s.energy_j, s.ecc_corrected_errors,
    s.ecc_uncorrected_errors, s.xid_errors, s.pcie_rx_bytes, s.pcie_tx_bytes, s.nvlink_rx_bytes,
    s.nvlink_tx_bytes, s.throttled_power_s, s.throttled_thermal_s
from tsobs_store.gpu_sample s
join tsobs_store.gpu g using (gpu_id)
join tsobs_store.node n on n.node_id = s.node_id
left join tsobs_store.job j on j.job_key = s.job_key;

create or replace view tsobs.node_sample as
select
    s.time, s.node_id, n.cluster, n.name as node, s.interval_s,
    s.cpu_user_s, s.cpu_nice_s, s.cpu_system_s, s.cpu_idle_s, s.cpu_iowait_s, s.cpu_irq_s, s.cpu_softirq_s,
    s.cpu_steal_s, s.network_receive_bytes, s.network_transmit_bytes, s.network_receive_packets,
    s.network_transmit_packets, s.network_receive_errors, s.network_transmit_errors, s.disk_read_bytes,
    s.disk_write_bytes, s.cpu_pressure_some_s, s.memory_pressure_some_s, s.memory_pressure_full_s,
    s.io_pressure_some_s, s.io_pressure_full_s, s.energy_package_j, s.energy_dram_j, s.energy_platform_j,
    s.energy_unattributed_j, s.cpus, s.memory_total_bytes, s.memory_available_bytes, s.memory_free_bytes,
    s.memory_cached_bytes, s.memory_buffers_bytes, s.swap_total_bytes, s.swap_free_bytes, s.load1, s.load5,
    s.load15, s.processes_running, s.processes, s.power_w
from tsobs_store.node_sample s
join tsobs_store.node n using (node_id);

create or replace view tsobs.job_reported as
select s.time, s.job_key, j.cluster, j.job_id, j.user_name, s.cpu_usage_ratio, s.memory_used_bytes, s.gpu_usage_ratio
from tsobs_store.job_reported s
join tsobs_store.job j using (job_key);

create or replace view tsobs.ingest_stream as
select s.stream, n.cluster, n.name as node, s.machine_id, s.accepted, s.newest_seq, s.batches, s.created_at, s.last_batch_at
from tsobs_store.ingest_stream s
join tsobs_store.node n using (node_id);

create or replace view tsobs.ingest_body as
select hash, accepted_at from tsobs_store.ingest_body;

-- What came by remote-write: a label set, and its name apart.
create or replace view tsobs.series as
select s.series_id, l.metric, l.labels, s.created_at, s.last_seen as last_seen_at, s.ended_at
from tsobs_store.series s
cross join lateral (
    select max(l.value) filter (where l.name = '__name__')::text as metric, jsonb_object_agg(l.name, l.value) as labels
    from tsobs_store.label l where l.label_id = any (s.label_ids)
) as l;

-- Select by series_id (tsobs.series_of names some) and time: that is what the index serves. A stale marker is a NaN.
create or replace view tsobs.sample as
select s.time, s.series_id, d.metric, d.labels, s.value
from tsobs_store.sample s
join tsobs.series d using (series_id);

-- time is the start of the five minutes; of real values, without NaN.
create or replace view tsobs.sample_5m as
select s.time, s.series_id, d.metric, d.labels, s.count, s.sum, s.min, s.max, s.first, s.last, s.first_at, s.last_at
from tsobs_store.sample_5m s
join tsobs.series d using (series_id);

create or replace view tsobs.exemplar as
select s.time, s.series_id, d.metric, d.labels as series_labels, s.labels, s.value
from tsobs_store.exemplar s
join tsobs.series d using (series_id);

create or replace view tsobs.histogram as
select
    s.time, s.series_id, d.metric, d.labels, s.count_int, s.count_float, s.sum, s.schema, s.zero_threshold,
    s.zero_count_int, s.zero_count_float,
    s.negative_span_offsets, s.negative_span_lengths, s.negative_deltas, s.negative_counts,
    s.positive_span_offsets, s.positive_span_lengths, s.positive_deltas, s.positive_counts,
    s.reset_hint, s.custom_values, s.start_time
from tsobs_store.histogram s
join tsobs.series d using (series_id);

create or replace view tsobs.metric_metadata as
select m.metric::text as metric, m.type, m.help, m.unit, m.updated_at from tsobs_store.metric_metadata m;

-- Never the hash.
create or replace view tsobs.api_token as
select id, name, scopes, node, cluster, user_name, created_at, expires_at, revoked_at, last_used_at
from tsobs_store.api_token;

-- What this service keeps and for how long, and what the server offers.
create or replace view tsobs.setting as
select name, value, changed_at from tsobs_store.setting;
create or replace view tsobs.capability as
select edition, timescaledb_version, has_policies, has_direct_compress from tsobs_store.capability();
