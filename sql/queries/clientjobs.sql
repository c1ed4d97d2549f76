-- What REST clients write: jobs and samples.

-- name: create_job
-- The key of the new run, or null when there is one.
-- $1 cluster, $2 scheduler, $3 job_id, $4 restart_count int, $5 at, $6 facts jsonb, $7 actor, $8 source,
-- $9 correlation_id, $10 payload jsonb
select tsobs_store.create_job($1, $2, $3, $4, $5, $6::jsonb, $7, $8, $9, $10::jsonb)

-- name: lock_job
-- One run as it is, until the end of the transaction; none when it was deleted meanwhile.
-- $1 job_key
select state, start_at, end_at from tsobs_store.job where job_key = $1 and deleted_at is null for update

-- name: tell_job
-- $1 job_key, $2 at, $3 facts jsonb, $4 kind, $5 actor, $6 source, $7 correlation_id, $8 payload jsonb
select tsobs_store.tell_job($1, $2, $3::jsonb, $4, $5, $6, $7, $8::jsonb)

-- name: delete_job
-- Marks a run and writes the audit row; none when it is marked already.
-- $1 job_key, $2 actor, $3 source, $4 correlation_id
with marked as (
    update tsobs_store.job set deleted_at = clock_timestamp(), updated_at = clock_timestamp()
    where job_key = $1 and deleted_at is null
    returning job_key, deleted_at
)
insert into tsobs_store.job_event (job_key, kind, actor, source, correlation_id, rank, new)
select job_key, 'deleted', $2, $3, $4, 4, jsonb_build_object('deleted_at', deleted_at) from marked
returning job_key

-- name: report_sample
-- The time of the new row, or none when the job has one of that time.
-- $1 job_key, $2 time, $3 cpu_usage_ratio, $4 memory_used_bytes, $5 gpu_usage_ratio
insert into tsobs_store.job_reported (job_key, time, cpu_usage_ratio, memory_used_bytes, gpu_usage_ratio)
values ($1, $2, $3, $4, $5)
on conflict (job_key, time) do nothing
returning time

-- name: reported_sample
-- $1 job_key, $2 time
select time, cpu_usage_ratio, memory_used_bytes, gpu_usage_ratio
from tsobs_store.job_reported
where job_key = $1 and time = $2
