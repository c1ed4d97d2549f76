-- Puts what was told into the rows of the runs that it is now known to speak of, and the agents' samples with it. This
-- is rare: it takes a start or an ending that comes after what it parts. It may do what ingest may not (delete rows of
-- runs that never were, move samples), so it runs as the owner.

-- Whoever stores samples holds this lock for others to share; who moves samples holds it alone.
create or replace function tsobs_store.lock_moves(p_is_shared boolean) returns void language plpgsql as $$
begin
    if p_is_shared then
        perform pg_advisory_xact_lock_shared(hashtextextended('tsobs.moves', 0));
    else
        perform pg_advisory_xact_lock(hashtextextended('tsobs.moves', 0));
    end if;
end
$$;

-- p_key_of: the row of each run. p_run_of, p_keys, p_digests: of each telling its run, and the row it is in until now
-- (null for the newest, which is in none).
create or replace function tsobs_store.part_runs(
    p_key_of bigint[], p_run_of int[], p_keys bigint[], p_digests bigint[],
    p_actor text, p_source text, p_correlation_id text, p_payload jsonb
) returns void language plpgsql security definer set search_path = tsobs_store, pg_temp set timezone = 'UTC' as $$
declare
    moved record;
    orphan bigint;
    heir bigint;
    changed bigint;
    changed_keys bigint[] := '{}';
begin
    perform lock_moves(false);
    for moved in
        select u.key as old_key, p_key_of[u.run] as new_key, t.*
        from unnest(p_run_of, p_keys, p_digests) as u (run, key, digest)
        join job_told t on t.job_key = u.key and t.digest = u.digest
        where u.key <> p_key_of[u.run]
        order by t.at, t.digest
    loop
        update job_told set job_key = moved.new_key where job_key = moved.old_key and digest = moved.digest;
        if moved.node_id is not null then
            perform move_samples(moved.old_key, moved.new_key, moved.node_id, moved.at);
        end if;
        changed_keys := changed_keys || array[moved.old_key, moved.new_key];
    end loop;
    insert into job_moved as m (job_key, moves)
    select distinct key, 1 from unnest(changed_keys) as u (key)
    on conflict (job_key) do update set moves = m.moves + 1;

    for orphan in
        select distinct key from unnest(p_keys) as u (key)
        where key is not null and not exists (select from job_told where job_key = u.key)
        order by key
    loop
        heir := (select p_key_of[u.run] from unnest(p_run_of, p_keys) as u (run, key) where u.key = orphan
            group by u.run order by count(*) desc, u.run limit 1);
        perform inherit_job(orphan, heir, p_actor, p_source, p_correlation_id);
    end loop;
    for changed in
        select distinct key from unnest(changed_keys) as u (key) where exists (select from job where job_key = key) order by key
    loop
        perform rebuild_job(changed, p_actor, p_source, p_correlation_id, p_payload);
    end loop;
end
$$;

-- A row anew from all that was told of it.
create or replace function tsobs_store.rebuild_job(
    p_job_key bigint, p_actor text, p_source text, p_correlation_id text, p_payload jsonb
) returns void language plpgsql set search_path = tsobs_store, pg_temp set timezone = 'UTC' as $$
declare
    held job;
    folded job;
    told job_told;
begin
    select * into strict held from job where job_key = p_job_key for update;
    folded := jsonb_populate_record(null::job, to_jsonb(held) - array(
        select jsonb_object_keys(to_jsonb(held)) except select unnest(array['job_key', 'cluster', 'scheduler', 'job_id',
            'restart_count', 'run', 'created_at', 'updated_at', 'deleted_at', 'hulls'])));
    folded.state := 'unknown';
    folded.ranks := '{}';
    folded.first_seen_at := 'infinity';
    for told in select * from job_told where job_key = p_job_key order by at, digest loop
        folded := fold_job(folded, told.at, told.rank, told.state_rank, told.facts);
    end loop;
    perform store_job(held, folded, 0, 'reassigned', p_actor, p_source, p_correlation_id, p_payload);
    -- What hooks told of its nodes; what an agent told went with its samples.
    update job_node set allocated_cpus = null, allocated_memory_bytes = null, gpu_devices = null, allocated_rank = null
    where job_key = p_job_key and allocated_rank > 2;
    delete from job_node where job_key = p_job_key and sample_count = 0 and allocated_rank is null and gone_at is null;
    for told in select * from job_told where job_key = p_job_key and facts ? 'nodes_alloc' order by at, digest loop
        perform allocate_nodes(p_job_key, held.cluster, told.rank, told.facts -> 'nodes_alloc');
    end loop;
end
$$;

-- Removes the row of a run that never was; what hangs on it goes to the run that it turned out to be.
create or replace function tsobs_store.inherit_job(
    p_orphan bigint, p_heir bigint, p_actor text, p_source text, p_correlation_id text
) returns void language plpgsql set search_path = tsobs_store, pg_temp as $$
declare
    gone job;
    node int;
begin
    for node in select node_id from job_node where job_key = p_orphan order by node_id loop
        perform move_samples(p_orphan, p_heir, node, '-infinity');
    end loop;
    insert into job_reported select (r).* from (
        select jsonb_populate_record(r, jsonb_build_object('job_key', p_heir)) as r from job_reported r where job_key = p_orphan
    ) as moved on conflict do nothing;
    delete from job_reported where job_key = p_orphan;
    update job_event set job_key = p_heir where job_key = p_orphan;
    delete from job where job_key = p_orphan returning * into gone;
    update job set deleted_at = coalesce(deleted_at, gone.deleted_at) where job_key = p_heir;
    insert into job_event (job_key, kind, actor, source, correlation_id, rank, old)
    values (p_heir, 'joined', p_actor, p_source, p_correlation_id, 0, jsonb_build_object('job_key', p_orphan));
end
$$;

-- What hooks and agents tell of a job's nodes, [{node, cpus, memory_bytes, gpus}]; the higher rank is right.
create or replace function tsobs_store.allocate_nodes(
    p_job_key bigint, p_cluster text, p_rank int, p_nodes jsonb
) returns void language plpgsql set search_path = tsobs_store, pg_temp as $$
begin
    -- Each node is looked up by its name alone: a join goes through all of them while the table has no statistics.
    insert into node (cluster, name)
    select distinct p_cluster, a ->> 'node' from jsonb_array_elements(p_nodes) as u (a)
    where (select node_id from node where cluster = p_cluster and name = a ->> 'node') is null
    order by 2
    on conflict do nothing;
    insert into job_node as t (job_key, node_id, allocated_cpus, allocated_memory_bytes, gpu_devices, allocated_rank)
    select p_job_key, a.node_id, max(a.cpus), max(a.memory_bytes)::bigint, max(a.gpus), p_rank
    from (
        select (select n.node_id from node n where n.cluster = p_cluster and n.name = told.node), told.*
        from jsonb_to_recordset(p_nodes)
            as told (node text, cpus double precision, memory_bytes double precision, gpus text[])
    ) as a
    group by a.node_id
    order by a.node_id
    on conflict (job_key, node_id) do update set
        allocated_cpus = case when excluded.allocated_rank > coalesce(t.allocated_rank, 0)
            then coalesce(excluded.allocated_cpus, t.allocated_cpus)
            else greatest(excluded.allocated_cpus, t.allocated_cpus) end,
        allocated_memory_bytes = case when excluded.allocated_rank > coalesce(t.allocated_rank, 0)
            then coalesce(excluded.allocated_memory_bytes, t.allocated_memory_bytes)
            else greatest(excluded.allocated_memory_bytes, t.allocated_memory_bytes) end,
        gpu_devices = case when excluded.allocated_rank > coalesce(t.allocated_rank, 0)
            then coalesce(excluded.gpu_devices, t.gpu_devices)
            else greatest(excluded.gpu_devices, t.gpu_devices) end,
        allocated_rank = greatest(excluded.allocated_rank, t.allocated_rank)
    where excluded.allocated_rank >= coalesce(t.allocated_rank, 0);
end
$$;
