-- Moves what an agent sampled of one run on one node to another run, and counts the totals of both anew.

-- Totals of one job on one node from its raw samples, as a flush would have added them up (ingest/totals.py).
create or replace function tsobs_store.sampled_totals(
    p_job_key bigint, p_node_id int
) returns tsobs_store.job_node language plpgsql stable set search_path = tsobs_store, pg_temp as $$
declare
    deltas constant text[] := array['cpu_user_s', 'cpu_system_s', 'cpu_throttled_s', 'cpu_pressure_some_s',
        'cpu_pressure_full_s', 'memory_pressure_some_s', 'memory_pressure_full_s', 'io_pressure_some_s',
        'io_pressure_full_s', 'io_read_bytes', 'io_write_bytes', 'io_read_ops', 'io_write_ops', 'page_faults',
        'major_page_faults', 'memory_limit_hits', 'oom_kills', 'energy_j'];
    gauges constant text[] := array['interval_s', 'cpus_allocated', 'memory_used_bytes', 'memory_rss_bytes',
        'memory_cache_bytes', 'memory_shmem_bytes', 'memory_swap_bytes', 'memory_limit_bytes', 'memory_peak_bytes',
        'processes', 'threads'];
    counted job_node;
    sums jsonb;
begin
    execute format('select jsonb_build_object(%s) from job_sample s where job_key = $1 and node_id = $2', (
        select string_agg(format('%L, sum(%I)', name, name), ', ') from unnest(deltas) as d (name)
    )) into sums using p_job_key, p_node_id;
    execute format('select $3 || jsonb_build_object(%s) from job_sample s where job_key = $1 and node_id = $2', (
        select string_agg(format('%L, (array_agg(%I order by time desc))[1]', name, name), ', ') from unnest(gauges) as g (name)
    )) into sums using p_job_key, p_node_id, sums;
    counted := jsonb_populate_record(null::job_node, sums);
    select
        p_job_key, p_node_id, count(*), min(time), max(time), (array_agg(interval_s order by time))[1], coalesce(sum(interval_s), 0),
        sum(interval_s) filter (where cpu_s is not null),
        sum(interval_s * cpus_allocated) filter (where cpu_s is not null),
        sum(cpu_s) filter (where cpus_allocated is not null),
        sum(memory_used_bytes * interval_s), sum(interval_s) filter (where memory_used_bytes is not null),
        (array_agg(usage order by time desc))[1], max(usage),
        max(memory_used_bytes), max(memory_rss_bytes), max(memory_swap_bytes)
    into
        counted.job_key, counted.node_id, counted.sample_count, counted.first_sample_at, counted.last_sample_at,
        counted.first_interval_s, counted.known_s, counted.cpu_known_s, counted.cpu_capacity_s,
        counted.cpu_in_capacity_s, counted.memory_used_byte_s, counted.memory_known_s, counted.cpu_usage_ratio,
        counted.cpu_usage_ratio_max, counted.memory_used_bytes_max, counted.memory_rss_bytes_max,
        counted.memory_swap_bytes_max
    from (
        select *, cpu_user_s + cpu_system_s as cpu_s,
            (cpu_user_s + cpu_system_s) / nullif(interval_s * cpus_allocated, 0) as usage
        from job_sample where job_key = p_job_key and node_id = p_node_id
    ) as s;
    return counted;
end
$$;

-- Moves the samples of a node that are of p_from or later, until the next that an agent of this node told of the old run. When
-- nothing of the old run is left on the node, all go. Raw samples that retention dropped stay counted where they were.
create or replace function tsobs_store.move_samples(
    p_old_key bigint, p_new_key bigint, p_node_id int, p_from timestamptz
) returns void language plpgsql set search_path = tsobs_store, pg_temp as $$
declare
    since timestamptz := p_from;
    until timestamptz;
    raw_count bigint;
begin
    if not exists (select from job_told where job_key = p_old_key and node_id = p_node_id) then
        since := '-infinity';
    end if;
    until := coalesce((
        select min(at) from job_told
        where job_key in (p_old_key, p_new_key) and node_id = p_node_id and at > p_from), 'infinity');
    if since = '-infinity' then
        until := 'infinity';
    end if;
    raw_count := (select count(*) from job_sample where job_key = p_old_key and node_id = p_node_id);
    update job_sample set job_key = p_new_key
    where job_key = p_old_key and node_id = p_node_id and time >= since and time < until;
    update gpu_sample set job_key = p_new_key
    where job_key = p_old_key and node_id = p_node_id and time >= since and time < until;
    if since = '-infinity' and not exists (select from job_node where job_key = p_new_key and node_id = p_node_id) then
        update job_node set job_key = p_new_key where job_key = p_old_key and node_id = p_node_id;
    else
        perform count_moved(p_old_key, p_new_key, p_node_id, since, until, raw_count);
    end if;
    perform count_gpus(p_old_key, p_node_id);
    perform count_gpus(p_new_key, p_node_id);
end
$$;

-- The totals of both rows after a move.
create or replace function tsobs_store.count_moved(
    p_old_key bigint, p_new_key bigint, p_node_id int, p_since timestamptz, p_until timestamptz, p_raw_count bigint
) returns void language plpgsql set search_path = tsobs_store, pg_temp as $$
declare
    held job_node;
    target job_node;
    counted job_node;
begin
    select * into held from job_node where job_key = p_old_key and node_id = p_node_id for update;
    if held.job_key is null then
        return;
    end if;
    insert into job_node (job_key, node_id) values (p_new_key, p_node_id) on conflict do nothing;
    select * into target from job_node where job_key = p_new_key and node_id = p_node_id for update;
    counted := sampled_totals(p_new_key, p_node_id);
    counted.allocated_cpus := coalesce(target.allocated_cpus, held.allocated_cpus);
    counted.allocated_memory_bytes := coalesce(target.allocated_memory_bytes, held.allocated_memory_bytes);
    counted.gpu_devices := coalesce(target.gpu_devices, held.gpu_devices);
    counted.allocated_rank := coalesce(target.allocated_rank, held.allocated_rank);
    counted.gone_at := greatest(target.gone_at, case when held.gone_at >= p_since and held.gone_at < p_until then held.gone_at end);
    -- Where raw samples are gone, no count can be made anew: what was added up stays.
    if counted.sample_count >= target.sample_count then
        delete from job_node where job_key = p_new_key and node_id = p_node_id;
        insert into job_node select counted.*;
    end if;
    if held.sample_count = p_raw_count then
        counted := sampled_totals(p_old_key, p_node_id);
        counted.allocated_cpus := held.allocated_cpus;
        counted.allocated_memory_bytes := held.allocated_memory_bytes;
        counted.gpu_devices := held.gpu_devices;
        counted.allocated_rank := held.allocated_rank;
        counted.gone_at := case when held.gone_at >= p_since and held.gone_at < p_until then null else held.gone_at end;
        delete from job_node where job_key = p_old_key and node_id = p_node_id;
        if counted.sample_count > 0 or p_since > '-infinity' then
            insert into job_node select counted.*;
        end if;
    end if;
end
$$;

-- The rows of a job's GPUs on one node, counted anew from raw samples (ingest/totals.py).
create or replace function tsobs_store.count_gpus(p_job_key bigint, p_node_id int) returns void
language plpgsql set search_path = tsobs_store, pg_temp as $$
begin
    delete from job_gpu where job_key = p_job_key and node_id = p_node_id;
    insert into job_gpu (
        job_key, gpu_id, node_id, share, sample_count, first_sample_at, last_sample_at, known_s, busy_s,
        busy_known_s, energy_j, utilization_ratio, utilization_ratio_max, memory_used_bytes, memory_used_bytes_max,
        power_w, temperature_celsius)
    select
        job_key, gpu_id, p_node_id, (array_agg(share order by time desc))[1], count(*), min(time), max(time),
        sum(interval_s * share), sum(utilization_ratio * interval_s * share),
        sum(interval_s * share) filter (where utilization_ratio is not null), sum(energy_j * share),
        (array_agg(utilization_ratio order by time desc))[1], max(utilization_ratio),
        (array_agg(memory_used_bytes order by time desc))[1], max(memory_used_bytes),
        (array_agg(power_w order by time desc))[1], (array_agg(temperature_celsius order by time desc))[1]
    from gpu_sample
    where job_key = p_job_key and node_id = p_node_id
    group by job_key, gpu_id;
end
$$;
