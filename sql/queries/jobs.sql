-- Jobs for the REST API. Times and totals come from job_node and job_gpu; only job_series reads samples.

-- name: plan_for_values
-- The filters below are optional: each call is to be planned for those that it has.
select set_config('plan_cache_mode', 'force_custom_plan', true)

-- name: list_jobs
-- A page of jobs in the order asked for; 'sort_value' is what the next page begins after, with the key.
-- $1 filters jsonb, $2 column to sort by, $3 whether descending, $4 job_key and $5 sort_value of the row to begin after
-- (null for the first page), $6 limit, $7 offset, $8 whether the filters have few jobs
select j.*, l.sort_value, now() as read_at
from tsobs_store.list_job_keys($1::jsonb, $2, $3, $4, $5, $6, $7, $8) with ordinality as l (job_key, sort_value, place)
join tsobs.job j using (job_key)
order by l.place

-- name: count_jobs
-- How many jobs list_jobs has in all its pages, counted up to a limit.
-- $1 filters jsonb, $2 limit
select tsobs_store.count_jobs($1::jsonb, $2)

-- name: job_by_key
-- One run, also of a job that was deleted.
-- $1 job_key
select j.*, now() as read_at from tsobs.job j where j.job_key = $1

-- name: find_jobs
-- What an id may mean, newest run first; lower 'likeness' is the closer reading of the id.
-- $1 bound cluster, $2 bound user, $3 cluster or null, $4 job_id as written,
-- $5 scheduler and $6 job_id of 'slurm-123', $7 array_job_id and $8 task of '123_4',
-- $9 het_job_id and $10 offset int of '123+1' (null where the id is not of that form),
-- $11 restart_count int, $12 run int (null for any)
select
    j.*,
    now() as read_at,
    case
        when j.job_id = $4 then 1
        when j.scheduler = $5 and j.job_id = $6 then 2
        else 3
    end as likeness
from tsobs.job j
where
    j.deleted_at is null
    and ($1::text is null or j.cluster = $1)
    and ($2::text is null or j.user_name = $2)
    and ($3::text is null or j.cluster = $3)
    and (
        j.job_id = $4
        or (j.job_id = $6 and j.scheduler = $5)
        or (j.array_job_id = $7 and j.array_task_id = $8)
        or (j.het_job_id = $9 and j.het_offset = $10)
    )
    and ($11::int is null or coalesce(j.restart_count, 0) = $11)
    and ($12::int is null or j.run = $12)
order by likeness, coalesce(j.start_at, j.submit_at, j.first_seen_at) desc, j.job_key desc

-- name: job_usage
-- Each job over all its nodes. Current values are sums over the nodes that were sampled within 3 intervals of the
-- job's newest sample.
-- $1 job_key bigint[]
with on_node as (
    select
        jn.*,
        jn.last_sample_at >= max(jn.last_sample_at) over job
            - 3 * least(max(jn.interval_s) over job, 300) * interval '1 second' as is_current
    from tsobs.job_node jn
    where jn.job_key = any($1)
    window job as (partition by jn.job_key)
)
select
    job_key,
    array_agg(node order by node) as sampled_nodes,
    sum(sample_count)::bigint as sample_count,
    min(first_sample_at) as first_sample_at,
    min(first_sample_at - first_interval_s * interval '1 second') as first_interval_at,
    max(last_sample_at) as last_sample_at,
    max(interval_s) as interval_s,
    sum(cpu_known_s) as cpu_known_s,
    sum(cpu_capacity_s) as cpu_capacity_s,
    sum(cpu_in_capacity_s) as cpu_in_capacity_s,
    sum(memory_known_s) as memory_known_s,
    sum(cpu_user_s) as cpu_user_s,
    sum(cpu_system_s) as cpu_system_s,
    sum(cpu_usage_ratio * cpus_allocated) filter (where is_current)
        / nullif(sum(cpus_allocated) filter (where is_current and cpu_usage_ratio is not null), 0) as cpu_usage_ratio,
    max(cpu_usage_ratio_max) as cpu_usage_ratio_max,
    sum(memory_used_bytes) filter (where is_current) as memory_used_bytes,
    sum(memory_used_byte_s / nullif(memory_known_s, 0)) as memory_used_bytes_mean,
    sum(memory_used_bytes_max) as memory_used_bytes_max,
    sum(memory_rss_bytes_max) as memory_rss_bytes_max,
    sum(io_read_bytes) as io_read_bytes,
    sum(io_write_bytes) as io_write_bytes,
    sum(memory_limit_hits) as memory_limit_hits,
    sum(oom_kills) as oom_kills,
    sum(energy_j) as energy_j
from on_node
group by job_key

-- name: job_gpu_usage
-- Each job over all its GPUs, each weighted by the share that the job holds.
-- $1 job_key bigint[]
with on_gpu as (
    select
        jg.*,
        jg.last_sample_at >= max(jg.last_sample_at) over (partition by jg.job_key)
            - 3 * least(g.interval_s, 300) * interval '1 second' as is_current
    from tsobs.job_gpu jg
    join tsobs.gpu g using (gpu_id)
    where jg.job_key = any($1)
)
select
    job_key,
    count(*) as gpus,
    sum(known_s) as held_s,
    sum(busy_s) as busy_s,
    sum(busy_known_s) as busy_known_s,
    sum(utilization_ratio * share) filter (where is_current)
        / nullif(sum(share) filter (where is_current and utilization_ratio is not null), 0) as utilization_ratio,
    max(utilization_ratio_max) as utilization_ratio_max,
    sum(memory_used_bytes) filter (where is_current) as memory_used_bytes,
    sum(memory_used_bytes_max) as memory_used_bytes_max,
    sum(energy_j) as energy_j
from on_gpu
group by job_key

-- name: job_reported_usage
-- What clients posted for jobs: means over the samples that have a value, and the newest.
-- $1 job_key bigint[]
select
    job_key,
    count(*) as sample_count,
    min(time) as first_sample_at,
    max(time) as last_sample_at,
    last(cpu_usage_ratio, time) as cpu_usage_ratio,
    avg(cpu_usage_ratio) as cpu_usage_ratio_mean,
    max(cpu_usage_ratio) as cpu_usage_ratio_max,
    last(memory_used_bytes, time) as memory_used_bytes,
    avg(memory_used_bytes) as memory_used_bytes_mean,
    max(memory_used_bytes) as memory_used_bytes_max,
    last(gpu_usage_ratio, time) filter (where gpu_usage_ratio is not null) as gpu_usage_ratio,
    avg(gpu_usage_ratio) as gpu_usage_ratio_mean,
    max(gpu_usage_ratio) as gpu_usage_ratio_max
from tsobs.job_reported
where job_key = any($1)
group by job_key

-- name: job_nodes
-- $1 job_key
select * from tsobs.job_node where job_key = $1 order by node

-- name: job_gpus
-- $1 job_key
select * from tsobs.job_gpu where job_key = $1 order by node, gpu

-- name: job_series
-- A job over time in buckets of $4 seconds, newest first. A row belongs to the bucket in which its interval ends, and a
-- bucket is told by its end; both are cut to the asked span. What is not known is null.
-- '…_covered_s': for how long it is known, all nodes together; a lack of less than one interval on a node comes from
-- intervals that cross the bucket's ends, and is no gap.
-- $1 job_key, $2 from, $3 until (both inclusive), $4 step in seconds, $5 by node, $6 limit, $7 start of the span
with bounds as (
    select $4::float8 * interval '1 second' as step
), job_rows as (
    select
        time_bucket(b.step, s.time - interval '1 microsecond') as bucket,
        s.node,
        s.interval_s,
        s.cpu_user_s + s.cpu_system_s as cpu_s,
        s.interval_s * s.cpus_allocated as capacity_s,
        s.memory_used_bytes,
        s.memory_rss_bytes,
        s.io_read_bytes,
        s.io_write_bytes,
        s.energy_j
    from tsobs.job_sample s, bounds b
    where s.job_key = $1 and s.time >= $2 and s.time <= $3
), on_node as (
    select
        bucket,
        node,
        sum(cpu_s) as cpu_s,
        sum(cpu_s) filter (where capacity_s > 0) as cpu_within_s,
        sum(capacity_s) filter (where cpu_s is not null) as capacity_s,
        sum(interval_s) filter (where cpu_s is not null) as cpu_known_s,
        sum(interval_s) filter (where memory_used_bytes is not null) as memory_known_s,
        max(interval_s) as interval_s,
        sum(memory_used_bytes * interval_s)
            / nullif(sum(interval_s) filter (where memory_used_bytes is not null), 0) as memory_used_bytes,
        sum(memory_rss_bytes * interval_s)
            / nullif(sum(interval_s) filter (where memory_rss_bytes is not null), 0) as memory_rss_bytes,
        sum(io_read_bytes) as io_read_bytes,
        sum(io_write_bytes) as io_write_bytes,
        sum(energy_j) as energy_j
    from job_rows
    group by bucket, node
), on_gpu as (
    select
        time_bucket(b.step, s.time - interval '1 microsecond') as bucket,
        s.node,
        s.gpu,
        sum(s.utilization_ratio * s.share * s.interval_s) as busy_s,
        sum(s.share * s.interval_s) filter (where s.utilization_ratio is not null) as busy_known_s,
        sum(s.share * s.interval_s) as held_s,
        sum(s.memory_used_bytes * s.interval_s)
            / nullif(sum(s.interval_s) filter (where s.memory_used_bytes is not null), 0) as memory_used_bytes,
        sum(s.energy_j * s.share) as energy_j
    from tsobs.gpu_sample s, bounds b
    where
        s.gpu_id = any(array(select jg.gpu_id from tsobs.job_gpu jg where jg.job_key = $1))
        and s.job_key = $1
        and s.time >= $2
        and s.time <= $3
    group by 1, 2, 3
), gpu_on_node as (
    select
        bucket,
        node,
        sum(busy_s) as busy_s,
        sum(busy_known_s) as busy_known_s,
        sum(held_s) as held_s,
        sum(memory_used_bytes) as memory_used_bytes,
        sum(energy_j) as energy_j
    from on_gpu
    group by bucket, node
), everything as (
    select
        coalesce(n.bucket, g.bucket) as bucket,
        coalesce(n.node, g.node) as node,
        n.cpu_s,
        n.cpu_within_s,
        n.capacity_s,
        n.cpu_known_s,
        n.memory_known_s,
        n.interval_s,
        n.memory_used_bytes,
        n.memory_rss_bytes,
        n.io_read_bytes,
        n.io_write_bytes,
        n.energy_j,
        g.busy_s,
        g.busy_known_s,
        g.held_s,
        g.memory_used_bytes as gpu_memory_used_bytes,
        g.energy_j as gpu_energy_j
    from on_node n
    full join gpu_on_node g on g.bucket = n.bucket and g.node = n.node
), told as (
    select
        e.*,
        least(e.bucket + b.step, $3) as ends_at,
        greatest(extract(epoch from least(e.bucket + b.step, $3) - greatest(e.bucket, $7)), 0)::float8 as span_s
    from everything e, bounds b
)
select
    ends_at,
    case when $5 then node end as node,
    max(span_s) as span_s,
    sum(case when cpu_known_s > span_s - interval_s then span_s else cpu_known_s end) as cpu_covered_s,
    sum(case when memory_known_s > span_s - interval_s then span_s else memory_known_s end) as memory_covered_s,
    sum(cpu_s) as cpu_s,
    sum(cpu_within_s) / nullif(sum(capacity_s), 0) as cpu_usage_ratio,
    sum(memory_used_bytes) as memory_used_bytes,
    sum(memory_rss_bytes) as memory_rss_bytes,
    sum(io_read_bytes) as io_read_bytes,
    sum(io_write_bytes) as io_write_bytes,
    sum(energy_j) as energy_j,
    sum(busy_s) / nullif(sum(busy_known_s), 0) as gpu_utilization_ratio,
    sum(busy_known_s) / nullif(sum(held_s), 0) as gpu_covered_ratio,
    sum(gpu_memory_used_bytes) as gpu_memory_used_bytes,
    sum(gpu_energy_j) as gpu_energy_j,
    count(*) over () as total
from told
group by ends_at, case when $5 then node end
order by ends_at desc, case when $5 then node end
limit $6

-- name: job_reported_series
-- What clients posted for a job, newest first: as posted, or the means of buckets of $4 seconds, told by their ends.
-- $1 job_key, $2 from, $3 until (both inclusive, null for all), $4 step in seconds or null, $5 limit
with reported as (
    select
        case
            when $4::float8 is null then time
            else time_bucket($4 * interval '1 second', time - interval '1 microsecond') + $4 * interval '1 second'
        end as ends_at,
        cpu_usage_ratio,
        memory_used_bytes,
        gpu_usage_ratio
    from tsobs.job_reported
    where job_key = $1 and ($2::timestamptz is null or time >= $2) and ($3::timestamptz is null or time <= $3)
)
select
    ends_at,
    avg(cpu_usage_ratio) as cpu_usage_ratio,
    avg(memory_used_bytes) as memory_used_bytes,
    avg(gpu_usage_ratio) as gpu_utilization_ratio,
    count(*) over () as total
from reported
group by ends_at
order by ends_at desc
limit $5

-- name: job_events
-- A job's audit trail, oldest first.
-- $1 job_key, $2 event_id to begin after, $3 limit
select event_id, at, kind, actor, source, correlation_id, rank, payload, old, new
from tsobs.job_event
where job_key = $1 and event_id > $2
order by event_id
limit $3

-- name: count_job_events
-- $1 job_key
select count(*) from tsobs.job_event where job_key = $1
