-- One observation of a job: find or make its run, merge what is told. The entry for events, agents and REST.
-- What was told is kept (job_told). Most of it falls between what is known of one run and is merged into that; what
-- changes the picture of an id's runs has all that was told of the id assigned anew (assign_runs), so that the order in
-- which things are told is of no matter.

-- What is told as it is kept. An agent's start is a birth: no start of the run, but not before it either.
create or replace function tsobs_store.make_told(
    p_role "char", p_restart_count int, p_restart_hint int, p_at timestamptz, p_rank int, p_state_rank int,
    p_facts jsonb, p_node_id int
) returns tsobs_store.job_told language plpgsql stable set search_path = tsobs_store, pg_temp as $$
declare
    start_at constant timestamptz := (p_facts ->> 'start_at')::timestamptz;
    end_at constant timestamptz := (p_facts ->> 'end_at')::timestamptz;
    since timestamptz := p_at;
    told job_told;
begin
    told.role := p_role;
    if p_role is null then
        since := coalesce(start_at, case when p_at < end_at then p_at end);
        told.role := case when end_at is null then 'O' when since is null then 'F' else 'E' end;
        since := case told.role when 'O' then p_at when 'F' then end_at else since end;
    end if;
    told.since := extract(epoch from since);
    told.until := case when told.role in ('E', 'P') and end_at is not null
        then extract(epoch from greatest(since, end_at)) else 'infinity' end;
    told.restart_count := p_restart_count;
    told.restart_hint := p_restart_hint;
    told.at := p_at;
    told.rank := p_rank;
    told.state_rank := p_state_rank;
    told.node_id := p_node_id;
    told.facts := jsonb_strip_nulls(p_facts);
    told.digest := hashtextextended(concat_ws(E'\x01', told.role, p_rank, p_state_rank,
        coalesce(p_restart_count, -1), coalesce(p_restart_hint, -1), coalesce(p_node_id, -1),
        extract(epoch from p_at), told.facts), 0);
    return told;
end
$$;

-- Rows that came by another way than being told (an import) are kept as told of themselves.
create or replace function tsobs_store.seed_told(p_keys bigint[]) returns void
language plpgsql set search_path = tsobs_store, pg_temp as $$
begin
    insert into job_told (job_key, digest, role, rank, state_rank, restart_count, at, since, until, facts)
    select
        j.job_key, 0, 'P', 3, coalesce((j.ranks ->> 'state')::int, 0), j.restart_count, j.first_seen_at,
        extract(epoch from coalesce(j.start_at, j.first_seen_at)), coalesce(extract(epoch from j.end_at), 'infinity'),
        jsonb_strip_nulls(to_jsonb(j)) - array['job_key', 'cluster', 'scheduler', 'job_id', 'restart_count', 'run', 'ranks',
            'hulls', 'first_seen_at', 'created_at', 'updated_at', 'deleted_at']
    from job j
    where j.job_key = any (p_keys) and (j.start_at, j.state) is distinct from (null, 'unknown')
        and not exists (select from job_told t where t.job_key = j.job_key)
    on conflict do nothing;
end
$$;

-- What is alike in all but time; between the least and the greatest of one run all is of that run.
create or replace function tsobs_store.hull_name(p_role "char", p_count int, p_hint int) returns text
language sql immutable as $$
    select p_role::text || ':' || coalesce(p_count::text, '') || ':' || coalesce(p_hint::text, '')
$$;

create or replace function tsobs_store.observe_job(
    p_cluster text, p_scheduler text, p_job_id text, p_restart_count int, p_at timestamptz, p_is_start boolean,
    p_rank int, p_state_rank int, p_facts jsonb,
    p_kind text, p_actor text, p_source text, p_correlation_id text, p_payload jsonb,
    p_restart_hint int default null, p_node_id int default null,
    out job_key bigint, out outcome text, out moves int
) language plpgsql set search_path = tsobs_store, pg_temp set timezone = 'UTC' as $$
#variable_conflict use_column
declare
    told job_told;
    keys bigint[];
    found_key bigint;
    decided record;
    is_new boolean := false;
    is_parted boolean := false;
    is_several boolean := false;
    held job;
    is_changed boolean;
begin
    told := make_told(
        case when p_is_start then case when p_rank > 2 then 'S'::"char" else 'B'::"char" end end,
        p_restart_count, p_restart_hint, p_at, p_rank, p_state_rank, p_facts, p_node_id);
    -- Agents tell the same again and again: for that nobody need wait.
    if p_node_id is not null then
        found_key := told_before(runs_near(p_cluster, p_scheduler, p_job_id, told), told.digest);
    end if;
    if found_key is null then
        perform lock_job_id(p_cluster, p_scheduler, p_job_id);
        keys := runs_near(p_cluster, p_scheduler, p_job_id, told);
        found_key := told_before(keys, told.digest);
    end if;
    if found_key is not null then
        outcome := 'skipped';
    elsif cardinality(keys) = 0 then
        found_key := make_job(p_cluster, p_scheduler, p_job_id, told, p_kind, p_actor, p_source, p_correlation_id, p_payload);
        outcome := 'created';
    else
        if cardinality(keys) = 1 and is_of_run(keys[1], told) then
            found_key := keys[1];
        else
            found_key := hull_holding(keys, told);
        end if;
        if found_key is null then
            select * into decided from resolve_job(
                p_cluster, p_scheduler, p_job_id, keys, told, p_actor, p_source, p_correlation_id, p_payload);
            found_key := decided.job_key;
            is_new := decided.is_new;
            is_parted := decided.is_changed;
            is_several := decided.is_several;
        end if;
        told.job_key := found_key;
        insert into job_told select told.*;
        select * into strict held from job j where j.job_key = found_key for update;
        is_changed := store_job(held, fold_job(held, p_at, p_rank, p_state_rank, told.facts),
            p_rank, p_kind, p_actor, p_source, p_correlation_id, p_payload);
        if is_several then
            perform number_runs(p_cluster, p_scheduler, p_job_id);
        end if;
        outcome := case when is_new then 'created' when is_changed or is_parted then 'updated'
            else 'skipped' end;
    end if;
    if outcome <> 'skipped' and told.facts ? 'nodes_alloc' then
        perform allocate_nodes(found_key, p_cluster, p_rank, told.facts -> 'nodes_alloc');
    end if;
    job_key := found_key;
    moves := case when p_node_id is null then 0
        else coalesce((select m.moves from job_moved m where m.job_key = found_key), 0) end;
end
$$;

-- The rows of an id that a telling can be about or have a say on. Of an id that is used a thousand times a year, those
-- far from it in time have none, and must not be gone through.
create or replace function tsobs_store.runs_near(
    p_cluster text, p_scheduler text, p_job_id text, p_told tsobs_store.job_told
) returns bigint[] language plpgsql set search_path = tsobs_store, pg_temp as $$
declare
    keys bigint[];
    far interval;
begin
    keys := array(
        select job_key from job where cluster = p_cluster and scheduler = p_scheduler and job_id = p_job_id order by job_key);
    if cardinality(keys) <= 16 then
        return keys;
    end if;
    far := make_interval(secs => setting_number('resolve_window_days', 30) * 86400 + 7200);
    return array(
        select job_key from job
        where job_key = any (keys) and coalesce(end_at, 'infinity') >= to_timestamp(p_told.since) - far
            and coalesce(start_at, '-infinity')
                <= to_timestamp(case p_told.until when 'infinity' then p_told.since else p_told.until end) + far
        order by job_key);
end
$$;

-- Whether a telling is evidently of the one run that its id has had: what assign_runs would find, for most of what
-- hooks and agents tell, at a tenth of the cost.
create or replace function tsobs_store.is_of_run(p_job_key bigint, p_told tsobs_store.job_told) returns boolean
language plpgsql set search_path = tsobs_store, pg_temp as $$
declare
    near constant double precision := 30;
    skew constant double precision := 5;
    count int;
    has record;
begin
    select restart_count into count from job where job_key = p_job_key and hulls is null;
    if not found or p_told.restart_count is distinct from count and p_told.restart_count is not null then
        return false;
    end if;
    select
        count(*) as n,
        bool_or(role = 'P') as pins,
        bool_or(role = 'S' and restart_count = count and abs(since - p_told.since) <= near) as near_start,
        bool_or(role = 'S' and since <= p_told.since) as began,
        bool_or(role = 'E') as endings,
        bool_or(role = 'E' and (abs(since - p_told.since) <= skew or since < p_told.until and until > p_told.since)) as overlaps,
        max(since) as last,
        min(case role when 'E' then until when 'F' then since else 'infinity' end) as ended
    into has
    from job_told where job_key = p_job_key;
    -- Of a run that much was told of, hulls are quicker; they are drawn when this says no.
    return has.n <= 16 and not has.pins and case p_told.role
        when 'S' then count is not null and p_told.restart_count = count and has.near_start
        when 'E' then p_told.restart_count is null and has.near_start and (has.overlaps or not has.endings)
            and has.last <= p_told.until + skew
        when 'F' then p_told.restart_count is null and has.began and has.last <= p_told.since + skew
            and p_told.since <= has.ended + 3600
            and (count is null or p_told.restart_hint is null or count in (p_told.restart_hint - 1, p_told.restart_hint))
        when 'B' then has.began and p_told.since <= has.ended
        when 'O' then has.began and p_told.since <= has.ended
        else false
    end;
end
$$;

-- The run between whose tellings of the same kind this one falls, if there is one: then it changes nothing for others.
create or replace function tsobs_store.hull_holding(p_keys bigint[], p_told tsobs_store.job_told) returns bigint
language plpgsql stable set search_path = tsobs_store, pg_temp as $$
declare
    kind constant text := hull_name(p_told.role, p_told.restart_count, p_told.restart_hint);
    since constant double precision := p_told.since;
    until constant double precision := case p_told.role when 'E' then p_told.until else p_told.since end;
begin
    return (
        select job_key from job
        where job_key = any (p_keys) and (hulls -> kind -> 0)::double precision <= since
            and (hulls -> kind -> 1)::double precision >= until
        limit 1);
end
$$;

create or replace function tsobs_store.told_before(p_keys bigint[], p_digest bigint) returns bigint
language plpgsql stable as $$
begin
    return (select job_key from tsobs_store.job_told where job_key = any (p_keys) and digest = p_digest limit 1);
end
$$;

-- The first run of an id.
create or replace function tsobs_store.make_job(
    p_cluster text, p_scheduler text, p_job_id text, p_told tsobs_store.job_told,
    p_kind text, p_actor text, p_source text, p_correlation_id text, p_payload jsonb
) returns bigint language plpgsql set search_path = tsobs_store, pg_temp as $$
declare
    made job;
    seen jsonb;
begin
    made.state := 'unknown';
    made.ranks := '{}';
    made.first_seen_at := p_told.at;
    made := fold_job(made, p_told.at, p_told.rank, p_told.state_rank, p_told.facts);
    seen := jsonb_strip_nulls(to_jsonb(made)) - array['ranks', 'first_seen_at', 'state_at'];
    insert into job (
        cluster, scheduler, job_id, restart_count, array_job_id, array_task_id, het_job_id, het_offset,
        name, user_name, uid, account, partition, qos, priority, state, state_reason, raw_state, state_at, nodes,
        requested_cpus, requested_memory_bytes, requested_gpus, allocated_cpus, allocated_memory_bytes, allocated_gpus,
        gpu_vendor, gpu_devices, cgroup_path, time_limit_s, submit_at, start_at, end_at, exit_code, signal,
        derived_exit_code, oom_killed, scheduler_instance, ingest_version, ranks, first_seen_at
    ) values (
        p_cluster, p_scheduler, p_job_id, p_told.restart_count,
        made.array_job_id, made.array_task_id, made.het_job_id, made.het_offset,
        made.name, made.user_name, made.uid, made.account, made.partition, made.qos, made.priority,
        made.state, made.state_reason, made.raw_state, made.state_at, made.nodes,
        made.requested_cpus, made.requested_memory_bytes, made.requested_gpus,
        made.allocated_cpus, made.allocated_memory_bytes, made.allocated_gpus,
        made.gpu_vendor, made.gpu_devices, made.cgroup_path, made.time_limit_s,
        made.submit_at, made.start_at, made.end_at, made.exit_code, made.signal, made.derived_exit_code,
        made.oom_killed, made.scheduler_instance, made.ingest_version, made.ranks, made.first_seen_at
    ) returning job_key into made.job_key;
    p_told.job_key := made.job_key;
    insert into job_told select p_told.*;
    if seen <> '{"state": "unknown"}' then
        insert into job_event (job_key, kind, actor, source, correlation_id, rank, payload, new)
        values (made.job_key, p_kind, p_actor, p_source, p_correlation_id, p_told.rank, p_payload, seen);
    end if;
    return made.job_key;
end
$$;

-- Decides anew which runs an id has had, now that p_told is told of it: makes, joins and parts rows. Returns the row
-- that the telling is about; it is merged there by the caller.
create or replace function tsobs_store.resolve_job(
    p_cluster text, p_scheduler text, p_job_id text, p_keys bigint[], p_told tsobs_store.job_told,
    p_actor text, p_source text, p_correlation_id text, p_payload jsonb,
    out job_key bigint, out is_new boolean, out is_changed boolean, out is_several boolean
) language plpgsql set search_path = tsobs_store, pg_temp as $$
#variable_conflict use_column
declare
    told record;
    runs record;
    key_of bigint[];
    vote record;
    mine int;
    made_key bigint;
    is_reused boolean;
begin
    is_new := false;
    is_changed := false;
    is_several := cardinality(p_keys) > 1;
    if cardinality(p_keys) > 0 then
        perform seed_told(p_keys);
    end if;
    select
        array_agg(role) as role, array_agg(restart_count) as counts, array_agg(restart_hint) as hints,
        array_agg(since) as since, array_agg(until) as until,
        array_agg(key) as keys, array_agg(case role when 'P' then key end) as pins, array_agg(digest) as digests
    into told
    from (
        select t.role, t.restart_count, t.restart_hint, t.since, t.until,
            t.job_key as key, t.digest
        from job_told t where t.job_key = any (p_keys)
        union all
        select p_told.role, p_told.restart_count, p_told.restart_hint, p_told.since, p_told.until,
            null, p_told.digest
        order by 4, 5, 1, 2, 3, 7
    ) as every;
    runs := assign_runs(told.role, told.counts, told.hints, told.since, told.until, told.pins,
        setting_number('resolve_window_days', 30) * 86400);
    mine := runs.run_of[array_position(told.keys, null)];

    -- Each run keeps the row that most of it was in; pinned ones theirs.
    key_of := array_fill(null::bigint, array[cardinality(runs.run_count)]);
    for vote in
        select u.run, u.key, bool_or(u.role = 'P') as is_pinned
        from unnest(runs.run_of, told.keys, told.role) as u (run, key, role)
        where u.key is not null
        group by u.run, u.key
        order by bool_or(u.role = 'P') desc, count(*) desc, u.key, min(u.run)
    loop
        if key_of[vote.run] is null and vote.key <> all (coalesce(array_remove(key_of, null), '{}')) then
            key_of[vote.run] := vote.key;
        end if;
    end loop;
    for vote in select distinct u.run from unnest(runs.run_of) as u (run) order by 1 loop
        if key_of[vote.run] is null then
            insert into job (cluster, scheduler, job_id, restart_count, run, first_seen_at)
            values (p_cluster, p_scheduler, p_job_id, runs.run_count[vote.run],
                next_run(p_cluster, p_scheduler, p_job_id, runs.run_count[vote.run]), p_told.at)
            returning job.job_key, job.run > 0 into made_key, is_reused;
            key_of[vote.run] := made_key;
            is_new := is_new or vote.run = mine;
            is_several := is_several or is_reused;
        end if;
    end loop;
    job_key := key_of[mine];

    if exists (
        select from unnest(runs.run_of, told.keys) as u (run, key) where u.key <> key_of[u.run]
    ) then
        perform part_runs(key_of, runs.run_of, told.keys, told.digests, p_actor, p_source, p_correlation_id, p_payload);
        is_changed := true;
    end if;
    is_changed := count_restarts(key_of, runs.run_count, p_rank => p_told.rank, p_actor => p_actor,
        p_source => p_source, p_correlation_id => p_correlation_id, p_payload => p_payload) or is_changed;
    if cardinality(told.digests) > 16 then
        perform draw_hulls(key_of, runs.run_of, told.role, told.counts, told.hints, told.since, told.until);
    end if;
end
$$;

-- Notes what lies between what, for runs that much was told of (hull_holding).
create or replace function tsobs_store.draw_hulls(
    p_key_of bigint[], p_run_of int[], p_role "char"[], p_count int[], p_hint int[],
    p_since double precision[], p_until double precision[]
) returns void language plpgsql set search_path = tsobs_store, pg_temp as $$
begin
    update job set hulls = drawn.hulls
    from (
        select key, jsonb_object_agg(name, jsonb_build_array(since, until)) as hulls
        from (
            select p_key_of[u.run] as key, hull_name(u.role, u.count, u.hint) as name,
                min(u.since) as since, max(case u.role when 'E' then u.until else u.since end) as until
            from unnest(p_run_of, p_role, p_count, p_hint, p_since, p_until) as u (run, role, count, hint, since, until)
            where u.role <> 'P'
            group by 1, 2
        ) as hull
        group by key
    ) as drawn
    where job.job_key = drawn.key and job.hulls is distinct from drawn.hulls;
end
$$;

-- Gives rows the restart_count of their run, and says so of rows that were there before.
create or replace function tsobs_store.count_restarts(
    p_key_of bigint[], p_count int[], p_rank int,
    p_actor text, p_source text, p_correlation_id text, p_payload jsonb
) returns boolean language plpgsql set search_path = tsobs_store, pg_temp as $$
declare
    changed record;
    is_changed boolean := false;
begin
    for changed in
        select j.*, u.count as told_count
        from unnest(p_key_of, p_count) as u (key, count)
        join job j on j.job_key = u.key
        where j.restart_count is distinct from u.count
        order by j.job_key
    loop
        update job set
            restart_count = changed.told_count,
            run = next_run(changed.cluster, changed.scheduler, changed.job_id, changed.told_count)
        where job_key = changed.job_key;
        insert into job_event (job_key, kind, actor, source, correlation_id, rank, payload, old, new)
        values (changed.job_key, 'restart-count', p_actor, p_source, p_correlation_id, p_rank, p_payload,
            jsonb_strip_nulls(jsonb_build_object('restart_count', changed.restart_count)),
            jsonb_build_object('restart_count', changed.told_count));
        is_changed := true;
    end loop;
    return is_changed;
end
$$;

-- Numbers the runs of an id that have one restart_count in the order of their starts.
create or replace function tsobs_store.number_runs(p_cluster text, p_scheduler text, p_job_id text) returns void
language plpgsql set search_path = tsobs_store, pg_temp as $$
declare
    numbered record;
begin
    select array_agg(job_key order by job_key) as keys, array_agg(number order by job_key) as numbers into numbered
    from (
        select job_key, run, row_number() over (
            partition by restart_count
            order by coalesce(start_at, end_at, first_seen_at), end_at, first_seen_at, job_key) - 1 as number
        from job
        where cluster = p_cluster and scheduler = p_scheduler and job_id = p_job_id
    ) as every
    where run <> number;
    if numbered.keys is not null then
        -- In two steps, for no two may have one number in between.
        update job set run = -1 - array_position(numbered.keys, job_key) where job_key = any (numbered.keys);
        update job set run = numbered.numbers[array_position(numbered.keys, job_key)] where job_key = any (numbered.keys);
    end if;
end
$$;
