-- What metrics are: the last that was told. Returns how many are news. In the order of the names, so that two callers
-- never wait for each other in a circle.
create or replace function tsobs_store.put_metadata(p_metrics text[], p_types text[], p_helps text[], p_units text[])
returns int language plpgsql set search_path = tsobs_store, pg_temp as $$
declare
    n int;
begin
    insert into metric_metadata as m (metric, type, help, unit)
    select t.metric, t.type, t.help, t.unit
    from unnest(p_metrics, p_types, p_helps, p_units) as t (metric, type, help, unit)
    left join metric_metadata known using (metric)
    where (known.type, known.help, known.unit) is distinct from (t.type, t.help, t.unit)
    order by t.metric collate "C"
    on conflict (metric) do update set
        type = excluded.type, help = excluded.help, unit = excluded.unit, updated_at = now();
    get diagnostics n = row_count;
    return n;
end
$$;
