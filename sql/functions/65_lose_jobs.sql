-- Endings that nobody reported.

-- The running jobs that are no longer there: on each node that has had the job or is listed for it, the agent reports
-- and has said that the job is gone, or has not seen it, for 10 intervals. A node that does not report says nothing, and
-- a job of which no sample was ever taken is never lost: its site has no agents, or it has not begun. ended_at: the last
-- that was seen of it.
create or replace function tsobs_store.lost_jobs(p_now timestamptz)
returns table (job_key bigint, ended_at timestamptz)
language sql stable set search_path = tsobs_store, pg_temp as $$
    select j.job_key, seen.ended_at
    from job j
    cross join lateral (
        select
            max(coalesce(jn.last_sample_at, jn.gone_at)) as ended_at,
            -- While it is there, one row is enough to know.
            bool_and(coalesce(case
                when jn.gone_at >= coalesce(jn.last_sample_at, '-infinity')
                    then jn.gone_at < p_now - 10 * make_interval(secs => coalesce(jn.interval_s, n.interval_s, 15))
                else n.last_sample_at > p_now - 3 * make_interval(secs => coalesce(n.interval_s, 15))
                    and coalesce(jn.last_sample_at, j.start_at, j.first_seen_at)
                        < n.last_sample_at - 10 * make_interval(secs => coalesce(jn.interval_s, n.interval_s, 15))
            end, false)) as is_gone,
            array_agg(n.name) as names
        from job_node jn
        join node n on n.node_id = jn.node_id
        where jn.job_key = j.job_key
    ) as seen
    where j.state = 'running' and seen.ended_at is not null and seen.is_gone
        and coalesce(j.start_at, j.first_seen_at) < p_now - interval '150 seconds'
        and not exists (
            select from unnest(j.nodes) as listed (name)
            where listed.name <> all (seen.names) and not exists (
                select from node n
                where n.cluster = j.cluster and (n.name = listed.name or listed.name = any (n.aliases))
                    and (n.node_id in (select node_id from job_node where job_node.job_key = j.job_key)
                        or n.last_sample_at > p_now - 3 * make_interval(secs => coalesce(n.interval_s, 15)))))
$$;

-- Gives jobs that are lost their end: unknown, lost, with the lowest rank, so that whatever is told of the end takes
-- its place. Up to 1,000 a call, oldest first; one caller at a time, the others return null at once. Returns how many.
create or replace function tsobs_store.lose_jobs(p_now timestamptz) returns int
language plpgsql set search_path = tsobs_store, pg_temp as $$
declare
    lost record;
    n int := 0;
begin
    if not pg_try_advisory_xact_lock(hashtextextended('tsobs.lose_jobs', 0)) then
        return null;
    end if;
    for lost in
        select * from (select * from lost_jobs(p_now) as l order by l.job_key limit 1000) as l
        join job j using (job_key)
        -- As events take the locks on ids.
        order by j.cluster collate "C", j.scheduler collate "C", j.job_id collate "C"
    loop
        n := n + merge_job(lost.job_key, lost.ended_at, 1, 1,
            jsonb_build_object('state', 'unknown', 'state_reason', 'lost', 'end_at', lost.ended_at),
            'lost', 'tsobs', 'maintenance', null, null)::int;
    end loop;
    return n;
end
$$;
