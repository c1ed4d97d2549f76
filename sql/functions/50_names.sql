-- Names of things to their small ids. A thing that is met again tells what it is now.

create or replace function tsobs_store.ensure_node(
    p_cluster text, p_name text, p_aliases text[], p_machine_id text, p_agent_version text
) returns int language sql set search_path = tsobs_store, pg_temp as $$
    insert into node as n (cluster, name, aliases, machine_id, agent_version)
    values (p_cluster, p_name, p_aliases, p_machine_id, p_agent_version)
    on conflict (cluster, name) do update set
        aliases = excluded.aliases, machine_id = excluded.machine_id, agent_version = excluded.agent_version
    returning node_id
$$;

create or replace function tsobs_store.ensure_gpu(
    p_uuid text, p_parent_uuid text, p_node_id int, p_vendor text, p_model text, p_memory_total_bytes double precision
) returns int language sql set search_path = tsobs_store, pg_temp as $$
    insert into gpu as g (uuid, parent_uuid, node_id, vendor, model, memory_total_bytes)
    values (p_uuid, p_parent_uuid, p_node_id, p_vendor, p_model, p_memory_total_bytes)
    on conflict (uuid) do update set
        parent_uuid = coalesce(excluded.parent_uuid, g.parent_uuid), node_id = excluded.node_id,
        vendor = coalesce(excluded.vendor, g.vendor), model = coalesce(excluded.model, g.model),
        memory_total_bytes = coalesce(excluded.memory_total_bytes, g.memory_total_bytes)
    returning gpu_id
$$;
