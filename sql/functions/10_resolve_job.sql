-- Which run an observation speaks of. Every writer goes through here.
-- These are plpgsql because their plans are then kept for the session: an SQL function that cannot be inlined is
-- planned anew in every transaction, which took most of an observation's time.

create or replace function tsobs_store.setting_number(p_name text, p_default double precision)
returns double precision language plpgsql stable as $$
begin
    return coalesce((select (value #>> '{}')::double precision from tsobs_store.setting where name = p_name), p_default);
end
$$;

-- The job_key of the run, or null when there is none to match.
-- A known restart_count must match; a row that does not know its own yet may adopt it. Of these, the run whose
-- span holds the time or is nearest to it, within `resolve_window_days` (30).
-- p_is_start: a start later than a run's end + 1 h is another run.
create or replace function tsobs_store.find_job(
    p_cluster text, p_scheduler text, p_job_id text, p_restart_count int, p_at timestamptz, p_is_start boolean
) returns bigint language plpgsql stable set search_path = tsobs_store, pg_temp as $$
declare
    found_key bigint;
begin
    with run as (
        select
            job_key, run, restart_count,
            coalesce(start_at, submit_at, first_seen_at) as span_start,
            coalesce(end_at, 'infinity') as span_end
        from job
        where cluster = p_cluster and scheduler = p_scheduler and job_id = p_job_id
            and (p_restart_count is null or restart_count is null or restart_count = p_restart_count)
    ), distance as (
        select *,
            case when p_at < span_start then span_start - p_at when p_at > span_end then p_at - span_end
                else interval '0' end as away
        from run
    )
    select job_key into found_key
    from distance
    where away <= make_interval(days => (select setting_number('resolve_window_days', 30))::int)
        and not (p_is_start and p_at > span_end + interval '1 hour')
    order by away, restart_count = p_restart_count desc nulls last, span_start desc, run desc
    limit 1;
    return found_key;
end
$$;

-- As find_job, and makes the row when there is none (is_new); a row that matches and does not know its
-- restart_count takes the told one (is_adopted). Who changes what identifies a run does so alone for its job_id.
create or replace function tsobs_store.resolve_job(
    p_cluster text, p_scheduler text, p_job_id text, p_restart_count int, p_at timestamptz, p_is_start boolean,
    out found_key bigint, out is_new boolean, out is_adopted boolean
) language plpgsql set search_path = tsobs_store, pg_temp as $$
begin
    is_new := false;
    is_adopted := false;
    found_key := find_job(p_cluster, p_scheduler, p_job_id, p_restart_count, p_at, p_is_start);
    if found_key is not null and (
        p_restart_count is null or exists (select from job where job_key = found_key and restart_count is not null)
    ) then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtextextended(concat_ws(E'\x01', p_cluster, p_scheduler, p_job_id), 0));
    found_key := find_job(p_cluster, p_scheduler, p_job_id, p_restart_count, p_at, p_is_start);
    if found_key is null then
        insert into job (cluster, scheduler, job_id, restart_count, run, first_seen_at)
        values (p_cluster, p_scheduler, p_job_id, p_restart_count,
            next_run(p_cluster, p_scheduler, p_job_id, p_restart_count), p_at)
        returning job_key into found_key;
        is_new := true;
    elsif p_restart_count is not null then
        update job set
            restart_count = p_restart_count,
            run = next_run(p_cluster, p_scheduler, p_job_id, p_restart_count)
        where job_key = found_key and restart_count is null;
        is_adopted := found;
    end if;
end
$$;

-- The number that tells the next run of an id from those before it.
create or replace function tsobs_store.next_run(
    p_cluster text, p_scheduler text, p_job_id text, p_restart_count int
) returns int language plpgsql stable as $$
begin
    return (
        select coalesce(max(run) + 1, 0)
        from tsobs_store.job
        where cluster = p_cluster and scheduler = p_scheduler and job_id = p_job_id
            and restart_count is not distinct from p_restart_count
    );
end
$$;
