-- Samples. Keys are small integers, there are no foreign keys and one index a table: each of these
-- costs more than a third of COPY speed (sql/README.md has the measurements).

create table tsobs_store.job_sample (
    time timestamptz not null,
    job_key bigint not null,
    node_id int not null,
    interval_s double precision not null,
    cpu_user_s double precision,
    cpu_system_s double precision,
    cpu_throttled_s double precision,
    cpu_pressure_some_s double precision,
    cpu_pressure_full_s double precision,
    memory_pressure_some_s double precision,
    memory_pressure_full_s double precision,
    io_pressure_some_s double precision,
    io_pressure_full_s double precision,
    io_read_bytes double precision,
    io_write_bytes double precision,
    io_read_ops double precision,
    io_write_ops double precision,
    page_faults double precision,
    major_page_faults double precision,
    memory_limit_hits double precision,
    oom_kills double precision,
    energy_j double precision,
    cpus_allocated double precision,
    memory_used_bytes double precision,
    memory_rss_bytes double precision,
    memory_cache_bytes double precision,
    memory_shmem_bytes double precision,
    memory_swap_bytes double precision,
    memory_limit_bytes double precision,
    memory_peak_bytes double precision,
    processes double precision,
    threads double precision
);

create table tsobs_store.gpu_sample (
    time timestamptz not null,
    gpu_id int not null,
    node_id int not null,
    job_key bigint,
    share double precision not null,
    interval_s double precision not null,
    utilization_ratio double precision,
    memory_utilization_ratio double precision,
    sm_active_ratio double precision,
    sm_occupancy_ratio double precision,
    tensor_active_ratio double precision,
    dram_active_ratio double precision,
    encoder_ratio double precision,
    decoder_ratio double precision,
    memory_used_bytes double precision,
    memory_total_bytes double precision,
    power_w double precision,
    power_limit_w double precision,
    temperature_celsius double precision,
    memory_temperature_celsius double precision,
    sm_clock_hz double precision,
    memory_clock_hz double precision,
    fan_ratio double precision,
    energy_j double precision,
    ecc_corrected_errors double precision,
    ecc_uncorrected_errors double precision,
    xid_errors double precision,
    pcie_rx_bytes double precision,
    pcie_tx_bytes double precision,
    nvlink_rx_bytes double precision,
    nvlink_tx_bytes double precision,
    throttled_power_s double precision,
    throttled_thermal_s double precision
);

create table tsobs_store.node_sample (
    time timestamptz not null,
    node_id int not null,
    interval_s double precision not null,
    cpu_user_s double precision,
    cpu_nice_s double precision,
    cpu_system_s double precision,
    cpu_idle_s double precision,
    cpu_iowait_s double precision,
    cpu_irq_s double precision,
    cpu_softirq_s double precision,
    cpu_steal_s double precision,
    network_receive_bytes double precision,
    network_transmit_bytes double precision,
    network_receive_packets double precision,
    network_transmit_packets double precision,
    network_receive_errors double precision,
    network_transmit_errors double precision,
    disk_read_bytes double precision,
    disk_write_bytes double precision,
    cpu_pressure_some_s double precision,
    memory_pressure_some_s double precision,
    memory_pressure_full_s double precision,
    io_pressure_some_s double precision,
    io_pressure_full_s double precision,
    energy_package_j double precision,
    energy_dram_j double precision,
    energy_platform_j double precision,
    energy_unattributed_j double precision,
    cpus double precision,
    memory_total_bytes double precision,
    memory_available_bytes double precision,
    memory_free_bytes double precision,
    memory_cached_bytes double precision,
    memory_buffers_bytes double precision,
    swap_total_bytes double precision,
    swap_free_bytes double precision,
    load1 double precision,
    load5 double precision,
    load15 double precision,
    processes_running double precision,
    processes double precision,
    power_w double precision
);
-- Samples that a client posted for a whole job; idempotent by time.
create table tsobs_store.job_reported (
    time timestamptz not null,
    job_key bigint not null,
    cpu_usage_ratio double precision,
    memory_used_bytes double precision,
    gpu_usage_ratio double precision,
    primary key (job_key, time)
);

select create_hypertable('tsobs_store.job_sample', by_range('time', interval '6 hours'), create_default_indexes => false);
select create_hypertable('tsobs_store.gpu_sample', by_range('time', interval '6 hours'), create_default_indexes => false);
select create_hypertable('tsobs_store.node_sample', by_range('time', interval '1 day'), create_default_indexes => false);
select create_hypertable('tsobs_store.job_reported', by_range('time', interval '1 day'), create_default_indexes => false);

create index job_sample_by_job on tsobs_store.job_sample (job_key, time);
create index gpu_sample_by_gpu on tsobs_store.gpu_sample (gpu_id, time);
create index node_sample_by_node on tsobs_store.node_sample (node_id, time);
