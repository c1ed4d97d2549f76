-- name: ensure_node
-- $1 cluster, $2 name, $3 aliases text[], $4 machine_id, $5 agent_version
select tsobs_store.ensure_node($1, $2, $3, $4, $5)

-- name: ensure_gpu
-- $1 uuid, $2 parent_uuid, $3 node_id int, $4 vendor, $5 model, $6 memory_total_bytes
select tsobs_store.ensure_gpu($1, $2, $3, $4, $5, $6)

-- name: observe_job
-- $1 cluster, $2 scheduler, $3 job_id, $4 restart_count int, $5 at timestamptz, $6 is_start, $7 rank int,
-- $8 state_rank int, $9 facts jsonb, $10 kind, $11 actor, $12 source, $13 correlation_id, $14 payload jsonb
select job_key, outcome
from tsobs_store.observe_job($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10, $11, $12, $13, $14::jsonb)

-- name: claim_batches
-- $1 stream uuid[], $2 seq bigint[], $3 node_id int[], $4 machine_id text[], $5 hash bytea[]
select ordinal, outcome from tsobs_store.claim_batches($1, $2, $3, $4, $5)

-- name: retention_seconds
select extract(epoch from tsobs_store.raw_retention())::double precision

-- name: allocate_job_nodes
-- $1 job_key bigint[], $2 node_id int, $3 cpus[], $4 memory_bytes bigint[]; in key order, as flushes take them
insert into tsobs_store.job_node as t (job_key, node_id, allocated_cpus, allocated_memory_bytes)
select a.job_key, $2::int, a.cpus, a.memory_bytes
from unnest($1::bigint[], $3::double precision[], $4::bigint[]) as a (job_key, cpus, memory_bytes)
order by a.job_key
on conflict (job_key, node_id) do update set
    allocated_cpus = coalesce(excluded.allocated_cpus, t.allocated_cpus),
    allocated_memory_bytes = coalesce(excluded.allocated_memory_bytes, t.allocated_memory_bytes)
where (t.allocated_cpus, t.allocated_memory_bytes)
    is distinct from (coalesce(excluded.allocated_cpus, t.allocated_cpus),
        coalesce(excluded.allocated_memory_bytes, t.allocated_memory_bytes))
