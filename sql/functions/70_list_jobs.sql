-- Lists of jobs by any mix of filters. The statement is made of those that are given, so that each call is planned
-- for what it asks, and list and count can't differ. Reads the public view alone.

-- What a column is indexed and sorted by: texts that users choose may be longer than an index entry.
create or replace function tsobs_store.sort_expression(p_column text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
    return format(
        case when p_column in ('account', 'partition', 'name') then 'left(j.%I, 255)' else 'j.%I' end,
        coalesce(p_column, 'job_key'));
end
$$;

-- The filters, by name, as a condition on tsobs.job j; all names are compared whole.
create or replace function tsobs_store.job_condition(p_filters jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    filter record;
    condition text := 'j.deleted_at is null';
    part text;
begin
    for filter in select key as name, value from jsonb_each_text(p_filters) loop
        part := case
            when filter.name in ('cluster', 'bound_cluster') then format('j.cluster = %L', filter.value)
            when filter.name in ('user', 'bound_user') then format('j.user_name = %L', filter.value)
            when filter.name in ('scheduler', 'state') then format('j.%I = %L', filter.name, filter.value)
            when filter.name in ('account', 'partition', 'name') then format(
                '%1$s = left(%3$L, 255) and j.%2$I = %3$L',
                tsobs_store.sort_expression(filter.name), filter.name, filter.value)
            when filter.name = 'node' then format(
                'j.job_key = any(array('
                    'select l.job_key from tsobs.job l where l.nodes @> array[%1$L]'
                    ' union select n.job_key from tsobs.job_node n where n.node = %1$L))', filter.value)
            when filter.name = 'started_after' then format('j.start_at >= %L', filter.value)
            when filter.name = 'started_before' then format('j.start_at <= %L', filter.value)
            when filter.name = 'ended_after' then format('j.end_at >= %L', filter.value)
            when filter.name = 'ended_before' then format('j.end_at <= %L', filter.value)
            when filter.name in ('start_time', 'end_time') then 'true'
        end;
        if part is null then
            raise invalid_parameter_value using message = format('no filter %s', filter.name);
        end if;
        condition := condition || ' and ' || part;
    end loop;
    -- Ran within: as in the index job_by_span.
    if p_filters ?| array['start_time', 'end_time'] then
        condition := condition || format(
            $part$ and case when j.start_at is not null then
                tstzrange(j.start_at, greatest(j.start_at, coalesce(j.end_at, 'infinity')), '[]') end
                && tstzrange(%L, %L, '[]')$part$,
            p_filters ->> 'start_time', p_filters ->> 'end_time');
    end if;
    return condition;
end
$$;

-- A page of keys with the value that each was sorted by. A value that is not known counts as greater than all.
-- p_after_key, p_after_value: the last of the page before. p_is_few: that the filters have few jobs, which are then
-- found by the filters and sorted; else the planner may walk along the order through most of the table to meet them,
-- because it takes them to be spread evenly.
create or replace function tsobs_store.list_job_keys(
    p_filters jsonb, p_sort text, p_is_descending boolean, p_after_key bigint, p_after_value text,
    p_limit bigint, p_offset bigint, p_is_few boolean
) returns table (job_key bigint, sort_value text)
language plpgsql stable rows 100 set search_path = pg_catalog, pg_temp as $$
declare
    part text;
    rows_left bigint := p_limit;
    found_rows bigint;
begin
    foreach part in array tsobs_store.pages_after(p_sort, p_is_descending, p_after_key, p_after_value) loop
        return query execute format(
            'select few.job_key, few.value::text from ('
                'select j.job_key, %1$s as value from tsobs.job j where %2$s and %3$s %7$s'
            ') as few order by few.value %4$s, few.job_key %4$s limit %5$L offset %6$L',
            tsobs_store.sort_expression(p_sort), tsobs_store.job_condition(p_filters), part,
            case when p_is_descending then 'desc' else 'asc' end, rows_left, p_offset,
            case when p_is_few then 'offset 0' end);
        get diagnostics found_rows = row_count;
        rows_left := rows_left - found_rows;
        exit when rows_left <= 0;
    end loop;
end
$$;

-- What follows a row of the order, as conditions to read one after the other: the known values and the unknown
-- ones apart, because an index serves each of them but not both in one.
create or replace function tsobs_store.pages_after(
    p_sort text, p_is_descending boolean, p_after_key bigint, p_after_value text
) returns text[] language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    sorted text := tsobs_store.sort_expression(p_sort);
    beyond text := case when p_is_descending then '<' else '>' end;
begin
    if p_after_key is null then
        return array['true'];
    elsif p_sort = 'job_key' then
        return array[format('j.job_key %s %s', beyond, p_after_key)];
    elsif p_after_value is null then
        return array[format('%s is null and j.job_key %s %s', sorted, beyond, p_after_key)]
            || case when p_is_descending then array[format('%s is not null', sorted)] else '{}' end;
    end if;
    return array[format('(%s, j.job_key) %s (%L, %s)', sorted, beyond, p_after_value, p_after_key)]
        || case when p_is_descending then '{}' else array[format('%s is null', sorted)] end;
end
$$;

-- How many jobs the filters have, counted up to a limit.
create or replace function tsobs_store.count_jobs(p_filters jsonb, p_limit bigint) returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    counted bigint;
begin
    execute format('select count(*) from (select from tsobs.job j where %s limit %L) as found',
        tsobs_store.job_condition(p_filters), p_limit) into counted;
    return counted;
end
$$;
