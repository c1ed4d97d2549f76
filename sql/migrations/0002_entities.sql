-- What exists: nodes, GPUs, jobs; and each job's running totals by node and by GPU.
-- Rows that every flush updates leave room in their page (fillfactor), and no index covers a column that
-- changes, so the update stays in the page (HOT) and vacuum has little to do. Rows of jobs are kept for ever
-- and leave less room than the few of nodes and GPUs (sql/README.md has the measurements).

create table tsobs_store.setting (
    name text primary key,
    value jsonb not null,
    changed_at timestamptz not null default now()
);

create table tsobs_store.node (
    node_id int generated always as identity primary key,
    cluster text not null,
    name text not null,
    aliases text[] not null default '{}',
    machine_id text,
    agent_version text,
    first_seen_at timestamptz not null default now(),
    interval_s double precision,
    sample_count bigint not null default 0,
    first_sample_at timestamptz,
    last_sample_at timestamptz,
    known_s double precision not null default 0,
    cpu_usage_ratio double precision,
    -- Totals of the deltas.
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
    -- Gauges as last seen.
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
    power_w double precision,
    unique (cluster, name)
) with (fillfactor = 60);

create table tsobs_store.gpu (
    gpu_id int generated always as identity primary key,
    uuid text not null unique,
    parent_uuid text,
    node_id int not null,
    vendor text,
    model text,
    first_seen_at timestamptz not null default now(),
    interval_s double precision,
    sample_count bigint not null default 0,
    first_sample_at timestamptz,
    last_sample_at timestamptz,
    known_s double precision not null default 0,
    busy_s double precision,
    busy_known_s double precision,
    -- Totals of the deltas.
    energy_j double precision,
    ecc_corrected_errors double precision,
    ecc_uncorrected_errors double precision,
    xid_errors double precision,
    pcie_rx_bytes double precision,
    pcie_tx_bytes double precision,
    nvlink_rx_bytes double precision,
    nvlink_tx_bytes double precision,
    throttled_power_s double precision,
    throttled_thermal_s double precision,
    -- Gauges as last seen.
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
    fan_ratio double precision
) with (fillfactor = 60);
create index gpu_node on tsobs_store.gpu (node_id);

create table tsobs_store.job (
    job_key bigint generated always as identity primary key,
    cluster text not null,
    scheduler text not null,
    job_id text not null,
    restart_count int,
    run int not null default 0,
    array_job_id text,
    array_task_id text,
    het_job_id text,
    het_offset int,
    name text,
    user_name text,
    uid bigint,
    account text,
    partition text,
    qos text,
    priority bigint,
    state text not null default 'unknown'
        check (state in ('pending', 'running', 'completed', 'failed', 'cancelled', 'unknown')),
    state_reason text,
    raw_state text,
    nodes text[],
    requested_cpus double precision,
    requested_memory_bytes bigint,
    requested_gpus double precision,
    allocated_cpus double precision,
    allocated_memory_bytes bigint,
    allocated_gpus double precision,
    gpu_vendor text,
    gpu_devices text[],
    cgroup_path text,
    time_limit_s double precision,
    submit_at timestamptz,
    start_at timestamptz,
    end_at timestamptz,
    exit_code int,
    signal int,
    oom_killed boolean,
    scheduler_instance text,
    ingest_version text,
    -- The highest exit code of its steps: 253 for an srun step that was killed for memory in a job that ended well.
    derived_exit_code int,
    -- The time of which a state before the ending was told: the later of two states of equal rank is right.
    state_at timestamptz,
    -- Of a run that much was told of: the least and greatest time of each kind of telling (resolve_job).
    hulls jsonb,
    -- Source rank of each field by name: controller 4, node hook 3, agent 2, inferred 1.
    ranks jsonb not null default '{}',
    first_seen_at timestamptz not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz,
    unique nulls not distinct (cluster, scheduler, job_id, restart_count, run)
) with (fillfactor = 80);
create index job_by_id on tsobs_store.job (job_id);
create index job_alive on tsobs_store.job (job_key) where state in ('pending', 'running');
create index job_by_start on tsobs_store.job (start_at desc, job_key desc);
create index job_by_state on tsobs_store.job (state, job_key) where deleted_at is null;
create index job_by_nodes on tsobs_store.job using gin (nodes);
create index job_by_array on tsobs_store.job (array_job_id, array_task_id) where array_job_id is not null;
create index job_by_het on tsobs_store.job (het_job_id, het_offset) where het_job_id is not null;
-- When it ran; one that has no end is taken to run still. Not a partial index: the planner takes no statistics of those.
create index job_by_span on tsobs_store.job using gist (
    (case when start_at is not null then tstzrange(start_at, greatest(start_at, coalesce(end_at, 'infinity')), '[]') end));
create index job_by_end on tsobs_store.job (end_at desc, job_key desc);
create index job_by_user on tsobs_store.job (user_name, job_key);
-- A text that a user chooses may be longer than an index entry.
create index job_by_account on tsobs_store.job (left(account, 255), job_key);
create index job_by_partition on tsobs_store.job (left(partition, 255), job_key);
create index job_by_name on tsobs_store.job (left(name, 255), job_key);

create table tsobs_store.job_node (
    job_key bigint not null,
    node_id int not null,
    allocated_cpus double precision,
    allocated_memory_bytes bigint,
    gpu_devices text[],
    -- Who told the allocation: a hook 3, an agent 2.
    allocated_rank smallint,
    interval_s double precision,
    sample_count bigint not null default 0,
    first_sample_at timestamptz,
    first_interval_s double precision,
    last_sample_at timestamptz,
    gone_at timestamptz,
    known_s double precision not null default 0,
    -- Seconds in which CPU use was known; CPU seconds on offer in these, where the allocation was known, and
    -- the CPU seconds used in the same: a CPU ratio is the third over the second.
    cpu_known_s double precision,
    cpu_capacity_s double precision,
    cpu_in_capacity_s double precision,
    -- Memory × seconds, and the seconds in which memory was known: what a mean divides by.
    memory_used_byte_s double precision,
    memory_known_s double precision,
    cpu_usage_ratio_max double precision,
    memory_used_bytes_max double precision,
    memory_rss_bytes_max double precision,
    memory_swap_bytes_max double precision,
    cpu_usage_ratio double precision,
    -- Totals of the deltas.
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
    -- Gauges as last seen.
    cpus_allocated double precision,
    memory_used_bytes double precision,
    memory_rss_bytes double precision,
    memory_cache_bytes double precision,
    memory_shmem_bytes double precision,
    memory_swap_bytes double precision,
    memory_limit_bytes double precision,
    memory_peak_bytes double precision,
    processes double precision,
    threads double precision,
    primary key (job_key, node_id)
) with (fillfactor = 80);
create index job_node_by_node on tsobs_store.job_node (node_id, job_key);

create table tsobs_store.job_gpu (
    job_key bigint not null,
    gpu_id int not null,
    node_id int not null,
    share double precision,
    sample_count bigint not null default 0,
    first_sample_at timestamptz,
    last_sample_at timestamptz,
    -- Device seconds held (share × interval), and of these the busy and the known ones.
    known_s double precision not null default 0,
    busy_s double precision,
    busy_known_s double precision,
    energy_j double precision,
    utilization_ratio double precision,
    utilization_ratio_max double precision,
    memory_used_bytes double precision,
    memory_used_bytes_max double precision,
    power_w double precision,
    temperature_celsius double precision,
    primary key (job_key, gpu_id)
) with (fillfactor = 80);

create table tsobs_store.job_event (
    event_id bigint generated always as identity primary key,
    job_key bigint not null,
    at timestamptz not null default clock_timestamp(),
    kind text not null,
    actor text not null,
    source text not null,
    correlation_id text,
    rank smallint not null,
    payload jsonb,
    old jsonb,
    new jsonb
);
create index job_event_by_job on tsobs_store.job_event (job_key, event_id);

-- What was told of a run, each different telling once: which run it speaks of is worked out anew from all of these
-- when something is told that changes the picture (resolve_job). Only what assigns and merges, no payload.
create table tsobs_store.job_told (
    job_key bigint not null,
    -- Of all that was told: the same told again is found by it.
    digest bigint not null,
    -- S a start, B an agent's (which is later than the run's), E an ending that names its start, F one that does not,
    -- O anything else, P what was told of this very row.
    role "char" not null,
    rank smallint not null,
    state_rank smallint not null,
    restart_count int,
    restart_hint int,
    at timestamptz not null,
    -- Where it stands in time and where it ends, in unix seconds: what assign_runs goes by.
    since double precision not null,
    until double precision not null,
    -- The node of an agent, whose samples go where this goes.
    node_id int,
    facts jsonb not null,
    primary key (job_key, digest)
);

-- Rows from which samples were moved to another run, and how often: who remembers the key must ask again.
create table tsobs_store.job_moved (
    job_key bigint primary key,
    moves int not null
);
