-- name: ensure_node
-- $1 cluster, $2 name, $3 aliases text[], $4 machine_id, $5 agent_version
select tsobs_store.ensure_node($1, $2, $3, $4, $5)

-- name: ensure_gpu
-- $1 uuid, $2 parent_uuid, $3 node_id int, $4 vendor, $5 model, $6 memory_total_bytes
select tsobs_store.ensure_gpu($1, $2, $3, $4, $5, $6)

-- name: observe_jobs
-- Several, in the order of the arrays; ids in one order everywhere ($1, $2, $3), for each locks its own.
-- $1 cluster[], $2 scheduler[], $3 job_id[], $4 restart_count int[], $5 at timestamptz[], $6 is_start[], $7 rank int[],
-- $8 state_rank int[], $9 facts jsonb[], $10 kind[], $11 actor[], $12 source[], $13 correlation_id[],
-- $14 payload jsonb[], $15 restart_hint int[], $16 node_id int[]
select o.job_key, o.outcome, o.moves
from unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::timestamptz[], $6::boolean[], $7::int[], $8::int[],
        $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::int[], $16::int[])
    with ordinality as t (
        cluster, scheduler, job_id, restart_count, at, is_start, rank, state_rank, facts, kind, actor, source,
        correlation_id, payload, restart_hint, node_id, place),
    tsobs_store.observe_job(t.cluster, t.scheduler, t.job_id, t.restart_count, t.at, t.is_start, t.rank, t.state_rank,
        t.facts::jsonb, t.kind, t.actor, t.source, t.correlation_id, t.payload::jsonb, t.restart_hint, t.node_id) as o
order by t.place

-- name: moved_jobs
-- Those of which samples were moved to other runs. Until the end of the transaction no more are.
-- $1 job_key bigint[]
select m.job_key, m.moves
from (select tsobs_store.lock_moves(true)) as locked, tsobs_store.job_moved m
where m.job_key = any ($1::bigint[])

-- name: claim_batches
-- $1 stream uuid[], $2 seq bigint[], $3 node_id int[], $4 machine_id text[], $5 hash bytea[]
select ordinal, outcome from tsobs_store.claim_batches($1, $2, $3, $4, $5)

-- name: retention_seconds
select extract(epoch from tsobs_store.raw_retention())::double precision

-- name: allocate_job_nodes
-- $1 job_key bigint[], $2 node_id int, $3 cpus[], $4 memory_bytes bigint[]; in key order, as flushes take them. What a
-- hook told (rank 3) is not an agent's to change.
insert into tsobs_store.job_node as t (job_key, node_id, allocated_cpus, allocated_memory_bytes, allocated_rank)
select a.job_key, $2::int, a.cpus, a.memory_bytes, case when coalesce(a.cpus, a.memory_bytes) is not null then 2 end
from unnest($1::bigint[], $3::double precision[], $4::bigint[]) as a (job_key, cpus, memory_bytes)
order by a.job_key
on conflict (job_key, node_id) do update set
    allocated_cpus = case when coalesce(t.allocated_rank, 0) > 2 then coalesce(t.allocated_cpus, excluded.allocated_cpus)
        else coalesce(excluded.allocated_cpus, t.allocated_cpus) end,
    allocated_memory_bytes = case when coalesce(t.allocated_rank, 0) > 2
        then coalesce(t.allocated_memory_bytes, excluded.allocated_memory_bytes)
        else coalesce(excluded.allocated_memory_bytes, t.allocated_memory_bytes) end,
    allocated_rank = greatest(t.allocated_rank, excluded.allocated_rank)
where (t.allocated_cpus, t.allocated_memory_bytes)
    is distinct from (coalesce(excluded.allocated_cpus, t.allocated_cpus),
        coalesce(excluded.allocated_memory_bytes, t.allocated_memory_bytes))
