-- Labels and series by their small ids. Each is created once, however many processes meet it at once. Ids are never
-- reused. Where speed is made here (microseconds a new series), sql/README.md has the measurements.

-- The ids of labels, in the order asked. Give each once. One caller at a time, because then nothing can come between
-- looking and inserting: this costs half of what "on conflict" does.
create or replace function tsobs_store.resolve_labels(p_names text[], p_values text[]) returns setof int
language plpgsql set search_path = tsobs_store, pg_temp
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
declare
    ids int[];
begin
    perform pg_advisory_xact_lock(hashtextextended('tsobs.labels', 0));
    -- An id that is not in the table yet is drawn here, so it need not be read back.
    select array_agg(coalesce(l.label_id, -nextval('label_label_id_seq')::int) order by w.place) into ids
    from unnest(p_names, p_values) with ordinality as w (name, value, place)
    left join label l on l.name = w.name and left(l.value, 255) = left(w.value, 255)
        and (case when length(l.value) > 255 then value_digest(l.value) else ''::bytea end)
            = (case when length(w.value) > 255 then value_digest(w.value) else ''::bytea end);
    insert into label (label_id, name, value) overriding system value
    select -w.label_id, w.name, w.value
    from unnest(p_names, p_values, ids) as w (name, value, label_id)
    where w.label_id < 0;
    return query select abs(label_id) from unnest(ids) as label_id;
end
$$;

-- Looks for series and creates what is not there: null for one that another process is just creating; whether it must
-- be touched. In SQL: in plpgsql a slice copies its whole array. Always in the order of the identities, so that two
-- callers never wait for each other in a circle.
create or replace function tsobs_store.find_series(p_identities uuid[], p_label_ids int[], p_counts int[])
returns table (place bigint, series_id bigint, is_old boolean)
language sql volatile set search_path = tsobs_store, pg_temp as $$
    with wanted as materialized (
        select u.identity, u.place, u.n, sum(u.n) over (order by u.place)::int as past, s.series_id,
            s.ended_at is not null or s.last_seen < now() - interval '10 minutes' as is_old
        from unnest(p_identities, p_counts) with ordinality as u (identity, n, place)
        left join series s on s.identity = u.identity
    ), created as (
        insert into series (identity, label_ids)
        select identity, p_label_ids[past - n + 1:past] from wanted where series_id is null order by identity
        on conflict do nothing
        returning series.series_id, series.identity
    )
    select w.place, coalesce(w.series_id, c.series_id), w.series_id is not null and w.is_old
    from wanted w left join created c on c.identity = w.identity
$$;

-- The ids of label sets, in the order asked. Give each once. What had ended lives again.
create or replace function tsobs_store.resolve_series(p_identities uuid[], p_label_ids int[], p_counts int[])
returns setof bigint
language plpgsql set search_path = tsobs_store, pg_temp as $$
declare
    ids bigint[];
    old bigint[];
    touched bigint := 0;
begin
    loop
        -- array_cat gives a flat array to take slices of.
        select array_agg(f.series_id order by f.place), array_agg(f.series_id order by f.series_id) filter (where f.is_old)
        into ids, old
        from find_series(p_identities, array_cat(p_label_ids, '{}'), p_counts) as f;
        if old is not null then
            update series s set last_seen = now(), ended_at = null
            from (select series_id from series where series_id = any (old) order by series_id for no key update) as mine
            where s.series_id = mine.series_id;
            get diagnostics touched = row_count;
        end if;
        -- Once more, when one was created elsewhere or was removed meanwhile.
        exit when array_position(ids, null) is null and touched = coalesce(cardinality(old), 0);
        touched := 0;
    end loop;
    return query select unnest(ids);
end
$$;

-- Says that these have samples in this hour. Returns those that do not exist any more.
create or replace function tsobs_store.touch_series(p_series_ids bigint[]) returns setof bigint
language plpgsql set search_path = tsobs_store, pg_temp
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
begin
    update series s set last_seen = now(), ended_at = null
    from (
        select series_id from series
        where series_id = any (p_series_ids) and (ended_at is not null or last_seen < now() - interval '10 minutes')
        order by series_id for no key update
    ) as mine
    where s.series_id = mine.series_id;
    return query
    select w.series_id
    from unnest(p_series_ids) as w (series_id)
    where not exists (select from series s where s.series_id = w.series_id);
end
$$;

-- Counts the steps in which series were removed.
create or replace function tsobs_store.series_epoch() returns bigint language sql stable as $$
    select coalesce(max(epoch), 0) from tsobs_store.series_removed
$$;

-- What was removed since an epoch; null when that cannot be known: it is too long ago, or of another database.
create or replace function tsobs_store.removed_series(p_since bigint, out epoch bigint, out series_ids bigint[])
language sql stable as $$
    select tsobs_store.series_epoch(),
        case
            when p_since = tsobs_store.series_epoch() then '{}'::bigint[]
            when exists (select from tsobs_store.series_removed where epoch = p_since + 1) then (
                select array_agg(gone order by gone)
                from tsobs_store.series_removed r, unnest(r.series_ids) as gone
                where r.epoch > p_since)
        end
$$;
