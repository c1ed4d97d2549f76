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

-- What outweighs what: an ending any other state, running pending; then the higher rank; then the more
-- specific. A state that nobody told (rank 0) has no weight.
create or replace function tsobs_store.state_weight(p_state text, p_reason text, p_rank int) returns int[]
language sql immutable as $$
    select case when p_rank = 0 then '{}'::int[] else array[
        tsobs_store.is_terminal(p_state)::int,
        (p_state = 'running')::int,
        p_rank,
        coalesce(array_position(array['unknown', 'completed', 'cancelled', 'failed'], p_state), 0),
        (p_reason is not null)::int
    ] end
$$;

-- Whether a told state takes the place of the held one; each a state with its reason, raw state and rank.
create or replace function tsobs_store.state_wins(
    p_held text, p_held_reason text, p_held_raw text, p_held_rank int,
    p_told text, p_told_reason text, p_told_raw text, p_told_rank int
) returns boolean language plpgsql immutable as $$
begin
    return
        (tsobs_store.state_weight(p_told, p_told_reason, p_told_rank), coalesce(p_told_reason, ''), coalesce(p_told_raw, ''))
        > (tsobs_store.state_weight(p_held, p_held_reason, p_held_rank), coalesce(p_held_reason, ''), coalesce(p_held_raw, ''));
end
$$;

-- Merges facts (names as in tsobs_store.job; absent or null = not known to the teller), which speak of p_at, into
-- one run and writes the audit row when anything changed. p_state_rank: the rank of the state alone, when it was
-- concluded and not told. Returns whether anything changed; the same told with a higher rank is no change.
create or replace function tsobs_store.merge_job(
    p_job_key bigint, p_at timestamptz, p_rank int, p_state_rank int, p_facts jsonb,
    p_kind text, p_actor text, p_source text, p_correlation_id text, p_payload jsonb
) returns boolean language plpgsql set search_path = tsobs_store, pg_temp set timezone = 'UTC' as $$
declare
    held job;
    merged job;
    was jsonb;
    fields jsonb;
    field_ranks jsonb;
    before jsonb;
    after jsonb;
begin
    select * into strict held from job where job_key = p_job_key for update;
    was := to_jsonb(held);

    select
        jsonb_object_agg(field, case when told_rank > held_rank then told else agree(field, was -> field, told) end),
        jsonb_object_agg(field, told_rank)
    into fields, field_ranks
    from (
        select
            key as field, value as told, coalesce((held.ranks ->> key)::int, 0) as held_rank,
            -- Who saw an OOM kill has seen one: no rank takes that back.
            case key when 'oom_killed' then 2 else p_rank end as told_rank
        from jsonb_each(p_facts)
        where value <> 'null' and key not in ('state', 'state_reason', 'raw_state')
    ) as fact
    where told_rank >= held_rank;

    merged := jsonb_populate_record(held, coalesce(fields, '{}'));
    merged.ranks := held.ranks || coalesce(field_ranks, '{}');
    merged.first_seen_at := least(held.first_seen_at, p_at);
    if p_facts ->> 'state' is not null and state_wins(
        held.state, held.state_reason, held.raw_state, coalesce((held.ranks ->> 'state')::int, 0),
        p_facts ->> 'state', p_facts ->> 'state_reason', p_facts ->> 'raw_state', p_state_rank
    ) then
        merged.state := p_facts ->> 'state';
        merged.state_reason := p_facts ->> 'state_reason';
        merged.raw_state := p_facts ->> 'raw_state';
        merged.ranks := merged.ranks || jsonb_build_object('state', p_state_rank);
    end if;
    -- An OOM kill may be seen before or after the exit that it explains.
    if is_terminal(merged.state) and (merged.ranks ->> 'state')::int = 1
        and (merged.exit_code is not null or merged.signal is not null) then
        select i.state, i.state_reason, null into merged.state, merged.state_reason, merged.raw_state
        from infer_state(merged.exit_code, merged.signal, merged.oom_killed) as i;
    end if;
    if merged is not distinct from held then
        return false;
    end if;

    merged.updated_at := clock_timestamp();
    update job set
        array_job_id = merged.array_job_id, array_task_id = merged.array_task_id,
        het_job_id = merged.het_job_id, het_offset = merged.het_offset,
        name = merged.name, user_name = merged.user_name, uid = merged.uid, account = merged.account,
        partition = merged.partition, qos = merged.qos, priority = merged.priority,
        state = merged.state, state_reason = merged.state_reason, raw_state = merged.raw_state,
        nodes = merged.nodes,
        requested_cpus = merged.requested_cpus, requested_memory_bytes = merged.requested_memory_bytes,
        requested_gpus = merged.requested_gpus,
        allocated_cpus = merged.allocated_cpus, allocated_memory_bytes = merged.allocated_memory_bytes,
        allocated_gpus = merged.allocated_gpus,
        gpu_vendor = merged.gpu_vendor, gpu_devices = merged.gpu_devices, cgroup_path = merged.cgroup_path,
        time_limit_s = merged.time_limit_s,
        submit_at = merged.submit_at, start_at = merged.start_at, end_at = merged.end_at,
        exit_code = merged.exit_code, signal = merged.signal, oom_killed = merged.oom_killed,
        scheduler_instance = merged.scheduler_instance, ingest_version = merged.ingest_version,
        first_seen_at = merged.first_seen_at, ranks = merged.ranks, updated_at = merged.updated_at
    where job_key = p_job_key;

    select jsonb_object_agg(key, was -> key) filter (where was -> key <> 'null'), jsonb_object_agg(key, value)
    into before, after
    from jsonb_each(to_jsonb(merged))
    where value is distinct from was -> key and key not in ('ranks', 'first_seen_at', 'updated_at');
    if after is null then
        return false;
    end if;
    insert into job_event (job_key, kind, actor, source, correlation_id, rank, payload, old, new)
    values (p_job_key, p_kind, p_actor, p_source, p_correlation_id, p_rank, p_payload, before, after);
    return true;
end
$$;
