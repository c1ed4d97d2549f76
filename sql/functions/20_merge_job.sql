-- Who is right about a job. Every field has a source rank; the merge is commutative and repeatable, so any
-- order, repetition or delay of the same observations leaves the same row. Each rule below is therefore a
-- maximum in some order, or a function of what such maxima left.

create or replace function tsobs_store.is_terminal(p_state text) returns boolean language sql immutable as $$
    select p_state in ('completed', 'failed', 'cancelled', 'unknown')
$$;

-- What an exit says when nobody gave the scheduler's own state. (state, state_reason)
create or replace function tsobs_store.infer_state(
    p_exit_code int, p_signal int, p_oom_killed boolean, out state text, out state_reason text
) language plpgsql immutable as $$
begin
    if coalesce(p_exit_code, 0) = 0 and coalesce(p_signal, 0) = 0 then
        state := 'completed';
    elsif p_oom_killed then
        state := 'failed';
        state_reason := 'out_of_memory';
    elsif p_signal in (9, 15) then
        state := 'cancelled';
    else
        state := 'failed';
        state_reason := case when coalesce(p_signal, 0) <> 0 then 'signal' else 'exit_code' end;
    end if;
end
$$;

-- One value of a field from two sources of equal rank, whichever came first.
create or replace function tsobs_store.agree(p_field text, p_a jsonb, p_b jsonb) returns jsonb
language plpgsql stable as $$
begin
    return case
        when p_a is null or p_a = 'null' then p_b
        when p_b is null or p_b = 'null' then p_a
        when p_a = p_b then p_a
        when p_field in ('start_at', 'submit_at') then
            to_jsonb(least((p_a #>> '{}')::timestamptz, (p_b #>> '{}')::timestamptz))
        when p_field = 'end_at' then
            to_jsonb(greatest((p_a #>> '{}')::timestamptz, (p_b #>> '{}')::timestamptz))
        when jsonb_typeof(p_a) = 'array' and jsonb_typeof(p_b) = 'array' then tsobs_store.agree_lists(p_a, p_b)
        else greatest(p_a, p_b)
    end;
end
$$;

-- The list that holds the other; when neither does, all items, sorted.
create or replace function tsobs_store.agree_lists(p_a jsonb, p_b jsonb) returns jsonb
language plpgsql immutable as $$
begin
    return case
        when p_a @> p_b and p_b @> p_a then greatest(p_a, p_b)
        when p_a @> p_b then p_a
        when p_b @> p_a then p_b
        else (select jsonb_agg(distinct item order by item) from jsonb_array_elements(p_a || p_b) as u (item))
    end;
end
$$;

-- What outweighs what: an ending any other state, running pending; then the higher rank; then, of endings, the more
-- specific, and of what is before it, the later told of. A state that nobody told (rank 0) has no weight.
create or replace function tsobs_store.state_weight(
    p_state text, p_reason text, p_rank int, p_state_at timestamptz default null
) returns double precision[] language plpgsql immutable as $$
begin
    return case when p_rank = 0 then '{}'::double precision[] else array[
        tsobs_store.is_terminal(p_state)::int,
        (p_state = 'running')::int,
        p_rank,
        case when tsobs_store.is_terminal(p_state) then 0 else coalesce(extract(epoch from p_state_at), 0) end,
        coalesce(array_position(array['unknown', 'completed', 'cancelled', 'failed'], p_state), 0),
        (p_reason is not null)::int
    ] end;
end
$$;

-- Whether a told state takes the place of the held one; each a state with its reason, raw state and rank, and the time
-- of which it was told.
create or replace function tsobs_store.state_wins(
    p_held text, p_held_reason text, p_held_raw text, p_held_rank int,
    p_told text, p_told_reason text, p_told_raw text, p_told_rank int,
    p_held_at timestamptz default null, p_told_at timestamptz default null
) returns boolean language plpgsql immutable as $$
begin
    return
        (tsobs_store.state_weight(p_told, p_told_reason, p_told_rank, p_told_at),
            coalesce(p_told_reason, ''), coalesce(p_told_raw, ''))
        > (tsobs_store.state_weight(p_held, p_held_reason, p_held_rank, p_held_at),
            coalesce(p_held_reason, ''), coalesce(p_held_raw, ''));
end
$$;

-- A run with facts merged into it (names as in tsobs_store.job; absent or null = not known to the teller), which speak of
-- p_at. p_state_rank: the rank of the state alone, when it was concluded and not told.
create or replace function tsobs_store.fold_job(
    p_held tsobs_store.job, p_at timestamptz, p_rank int, p_state_rank int, p_facts jsonb
) returns tsobs_store.job language plpgsql stable set search_path = tsobs_store, pg_temp as $$
declare
    was jsonb;
    fields jsonb;
    even jsonb;
    field_ranks jsonb;
    told_at timestamptz;
    merged job;
begin
    select
        jsonb_object_agg(field, told),
        jsonb_object_agg(field, told) filter (where told_rank = held_rank),
        jsonb_object_agg(field, told_rank)
    into fields, even, field_ranks
    from (
        select
            key as field, value as told, coalesce((p_held.ranks ->> key)::int, 0) as held_rank,
            -- Who saw an OOM kill has seen one: no rank takes that back.
            case key when 'oom_killed' then 2 else p_rank end as told_rank
        from jsonb_each(p_facts)
        where value <> 'null' and key not in ('state', 'state_reason', 'raw_state', 'state_at', 'nodes_alloc')
    ) as fact
    where told_rank >= held_rank;
    -- Rarely so, and a whole row as JSON is dear.
    if even is not null then
        was := to_jsonb(p_held);
        fields := fields || (select jsonb_object_agg(key, agree(key, was -> key, value)) from jsonb_each(even));
    end if;

    merged := case when fields is null then p_held else jsonb_populate_record(p_held, fields) end;
    merged.ranks := p_held.ranks || coalesce(field_ranks, '{}');
    merged.first_seen_at := least(p_held.first_seen_at, p_at);
    if p_facts ->> 'state' is not null then
        told_at := coalesce((p_facts ->> 'state_at')::timestamptz, p_at);
        if state_wins(
            p_held.state, p_held.state_reason, p_held.raw_state, coalesce((p_held.ranks ->> 'state')::int, 0),
            p_facts ->> 'state', p_facts ->> 'state_reason', p_facts ->> 'raw_state', p_state_rank,
            p_held.state_at, told_at
        ) then
            merged.state := p_facts ->> 'state';
            merged.state_reason := p_facts ->> 'state_reason';
            merged.raw_state := p_facts ->> 'raw_state';
            merged.state_at := case when not is_terminal(merged.state) then told_at end;
            merged.ranks := merged.ranks || jsonb_build_object('state', p_state_rank);
        end if;
    end if;
    -- An OOM kill may be seen before or after the exit that it explains.
    if is_terminal(merged.state) and (merged.ranks ->> 'state')::int = 1
        and (merged.exit_code is not null or merged.signal is not null) then
        select i.state, i.state_reason, null into merged.state, merged.state_reason, merged.raw_state
        from infer_state(merged.exit_code, merged.signal, merged.oom_killed) as i;
    end if;
    return merged;
end
$$;

-- What the audit trail shows of one value: of a long list only what came and went.
create or replace function tsobs_store.audited(p_value jsonb, p_beside jsonb) returns jsonb
language plpgsql immutable as $$
begin
    if jsonb_typeof(p_value) = 'array' and jsonb_typeof(p_beside) = 'array'
        and greatest(jsonb_array_length(p_value), jsonb_array_length(p_beside)) > 100 then
        return (
            select coalesce(jsonb_agg(item), '[]')
            from (select item from jsonb_array_elements(p_value) as a (item)
                except select item from jsonb_array_elements(p_beside) as b (item)) as only_here);
    end if;
    return p_value;
end
$$;

-- Writes a run as it is now and, when what can be seen of it changed, the audit row; returns whether it did.
create or replace function tsobs_store.store_job(
    p_held tsobs_store.job, p_merged tsobs_store.job, p_rank int,
    p_kind text, p_actor text, p_source text, p_correlation_id text, p_payload jsonb
) returns boolean language plpgsql set search_path = tsobs_store, pg_temp as $$
declare
    was jsonb;
    before jsonb;
    after jsonb;
begin
    if p_merged is not distinct from p_held then
        return false;
    end if;
    was := to_jsonb(p_held);
    update job set
        array_job_id = p_merged.array_job_id, array_task_id = p_merged.array_task_id,
        het_job_id = p_merged.het_job_id, het_offset = p_merged.het_offset,
        name = p_merged.name, user_name = p_merged.user_name, uid = p_merged.uid, account = p_merged.account,
        partition = p_merged.partition, qos = p_merged.qos, priority = p_merged.priority,
        state = p_merged.state, state_reason = p_merged.state_reason, raw_state = p_merged.raw_state,
        state_at = p_merged.state_at, nodes = p_merged.nodes,
        requested_cpus = p_merged.requested_cpus, requested_memory_bytes = p_merged.requested_memory_bytes,
        requested_gpus = p_merged.requested_gpus,
        allocated_cpus = p_merged.allocated_cpus, allocated_memory_bytes = p_merged.allocated_memory_bytes,
        allocated_gpus = p_merged.allocated_gpus,
        gpu_vendor = p_merged.gpu_vendor, gpu_devices = p_merged.gpu_devices, cgroup_path = p_merged.cgroup_path,
        time_limit_s = p_merged.time_limit_s,
        submit_at = p_merged.submit_at, start_at = p_merged.start_at, end_at = p_merged.end_at,
        exit_code = p_merged.exit_code, signal = p_merged.signal, derived_exit_code = p_merged.derived_exit_code,
        oom_killed = p_merged.oom_killed,
        scheduler_instance = p_merged.scheduler_instance, ingest_version = p_merged.ingest_version,
        first_seen_at = p_merged.first_seen_at, ranks = p_merged.ranks, updated_at = clock_timestamp()
    where job_key = p_held.job_key;

    select
        jsonb_object_agg(key, audited(was -> key, value)) filter (where was -> key <> 'null'),
        jsonb_object_agg(key, audited(value, was -> key))
    into before, after
    from jsonb_each(to_jsonb(p_merged))
    where value is distinct from was -> key
        and key not in ('ranks', 'first_seen_at', 'updated_at', 'state_at', 'restart_count', 'run', 'hulls');
    if after is null then
        return false;
    end if;
    insert into job_event (job_key, kind, actor, source, correlation_id, rank, payload, old, new)
    values (p_held.job_key, p_kind, p_actor, p_source, p_correlation_id, p_rank, p_payload, before, after);
    return true;
end
$$;

-- Merges facts into one run, which the teller named itself, and keeps them as told of that very row. Returns whether
-- anything changed; the same told with a higher rank is no change.
create or replace function tsobs_store.merge_job(
    p_job_key bigint, p_at timestamptz, p_rank int, p_state_rank int, p_facts jsonb,
    p_kind text, p_actor text, p_source text, p_correlation_id text, p_payload jsonb
) returns boolean language plpgsql set search_path = tsobs_store, pg_temp set timezone = 'UTC' as $$
declare
    held job;
    told job_told;
begin
    select * into strict held from job where job_key = p_job_key;
    perform lock_job_id(held.cluster, held.scheduler, held.job_id);
    select * into strict held from job where job_key = p_job_key for update;
    perform seed_told(array[p_job_key]);
    -- It begins where the run does for whoever asks which run is meant, not when this was told.
    told := make_told('P', null, null, coalesce((p_facts ->> 'start_at')::timestamptz, held.start_at, held.first_seen_at),
        p_rank, p_state_rank, p_facts, null);
    told.job_key := p_job_key;
    told.at := p_at;
    -- A job that a client made is known by the restart_count that it named.
    if not exists (select from job_told where job_key = p_job_key) then
        told.restart_count := held.restart_count;
    end if;
    insert into job_told select told.* on conflict do nothing;
    return store_job(held, fold_job(held, p_at, p_rank, p_state_rank, p_facts),
        p_rank, p_kind, p_actor, p_source, p_correlation_id, p_payload);
end
$$;
