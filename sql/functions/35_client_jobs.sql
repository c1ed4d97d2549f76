-- What REST clients do to jobs; a client speaks with the rank of a controller (4).

-- Makes the run that a client announces, under the lock that observe_job takes for its id. Null when there is
-- one that is not deleted: with this restart_count, or with one that is not known. A deleted job's id is free: the new
-- run gets the next number, and what is told of times before it began still goes to the deleted one.
create or replace function tsobs_store.create_job(
    p_cluster text, p_scheduler text, p_job_id text, p_restart_count int, p_at timestamptz, p_facts jsonb,
    p_actor text, p_source text, p_correlation_id text, p_payload jsonb
) returns bigint language plpgsql set search_path = tsobs_store, pg_temp as $$
declare
    made_key bigint;
begin
    perform lock_job_id(p_cluster, p_scheduler, p_job_id);
    if exists (
        select from job
        where cluster = p_cluster and scheduler = p_scheduler and job_id = p_job_id and deleted_at is null
            and (p_restart_count is null or restart_count is null or restart_count = p_restart_count)
    ) then
        return null;
    end if;
    insert into job (cluster, scheduler, job_id, restart_count, run, first_seen_at)
    values (p_cluster, p_scheduler, p_job_id, p_restart_count,
        next_run(p_cluster, p_scheduler, p_job_id, p_restart_count), p_at)
    returning job_key into made_key;
    perform tell_job(made_key, p_at, p_facts, 'created', p_actor, p_source, p_correlation_id, p_payload);
    return made_key;
end
$$;

-- Merges what a client tells of one run that it named; the one place here that knows merge_job.
create or replace function tsobs_store.tell_job(
    p_job_key bigint, p_at timestamptz, p_facts jsonb,
    p_kind text, p_actor text, p_source text, p_correlation_id text, p_payload jsonb
) returns boolean language plpgsql set search_path = tsobs_store, pg_temp as $$
begin
    return merge_job(p_job_key, p_at, 4, 4, p_facts, p_kind, p_actor, p_source, p_correlation_id, p_payload);
end
$$;
