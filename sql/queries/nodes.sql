-- Nodes for the REST API.

-- name: list_nodes
-- Nodes by name with their newest values; 'jobs' are the running ones that the viewer may see.
-- $1 bound cluster, $2 bound user, $3 cluster or null, $4 node_id to begin after or null, $5 limit
with page as materialized (
    select n.*
    from tsobs.node n
    where
        ($1::text is null or n.cluster = $1)
        and ($3::text is null or n.cluster = $3)
        and (
            $4::int is null
            or (n.cluster, n.node) > (select a.cluster, a.node from tsobs.node a where a.node_id = $4)
        )
    order by n.cluster, n.node
    limit $5
), running as (
    select jn.node_id, count(*) as jobs
    from tsobs.job j
    join tsobs.job_node jn using (job_key)
    join page n using (node_id)
    where
        j.state = 'running'
        and j.deleted_at is null
        and ($2::text is null or j.user_name = $2)
        and jn.last_sample_at > now() - 3 * least(greatest(jn.interval_s, n.interval_s), 300) * interval '1 second'
    group by jn.node_id
), devices as (
    select
        g.cluster,
        g.node,
        count(*) as gpus,
        avg(g.utilization_ratio) filter (where g.is_alive) as gpu_utilization_ratio
    from (
        select
            *,
            last_sample_at > now() - 3 * least(interval_s, 300) * interval '1 second' as is_alive
        from tsobs.gpu
    ) as g
    group by g.cluster, g.node
)
select
    n.*,
    n.last_sample_at > now() - 3 * least(n.interval_s, 300) * interval '1 second' as is_alive,
    coalesce(r.jobs, 0) as jobs,
    coalesce(d.gpus, 0) as gpus,
    d.gpu_utilization_ratio
from page n
left join running r using (node_id)
left join devices d on d.cluster = n.cluster and d.node = n.node
order by n.cluster, n.node

-- name: count_nodes
-- $1 bound cluster, $2 cluster or null
select count(*)
from tsobs.node n
where ($1::text is null or n.cluster = $1) and ($2::text is null or n.cluster = $2)
