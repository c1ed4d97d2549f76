-- One observation of a job: find or make its run, merge what is told. The entry for events, agents and REST.
-- outcome: created, updated or skipped (nothing new).

create or replace function tsobs_store.observe_job(
    p_cluster text, p_scheduler text, p_job_id text, p_restart_count int, p_at timestamptz, p_is_start boolean,
    p_rank int, p_state_rank int, p_facts jsonb,
    p_kind text, p_actor text, p_source text, p_correlation_id text, p_payload jsonb,
    out job_key bigint, out outcome text
) language plpgsql set search_path = tsobs_store, pg_temp as $$
declare
    run record;
    is_changed boolean;
begin
    run := resolve_job(p_cluster, p_scheduler, p_job_id, p_restart_count, p_at, p_is_start);
    job_key := run.found_key;
    if run.is_adopted then
        insert into job_event (job_key, kind, actor, source, correlation_id, rank, payload, new)
        values (run.found_key, 'restart-count', p_actor, p_source, p_correlation_id, p_rank, p_payload,
            jsonb_build_object('restart_count', p_restart_count));
    end if;
    is_changed := merge_job(
        job_key, p_at, p_rank, p_state_rank, p_facts, p_kind, p_actor, p_source, p_correlation_id, p_payload);
    outcome := case when run.is_new then 'created' when is_changed or run.is_adopted then 'updated' else 'skipped' end;
end
$$;
