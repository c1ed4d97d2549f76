-- What a COPY into sample needs, in its transaction.

-- Before the COPY: no series is removed until it has committed, and the server is told how it gets the rows.
-- sort_batches is off because they come sorted. Not client_sorted, which is a promise that no other COPY overlaps
-- with this one: with it the chunk is not marked as unordered, and "order by series_id, time" comes back unordered.
create or replace function tsobs_store.begin_sample_copy() returns bigint
language plpgsql set search_path = tsobs_store, pg_catalog, public, pg_temp as $$
begin
    perform pg_advisory_xact_lock_shared(hashtextextended('tsobs.series', 0));
    if exists (select from setting where name = 'sample_storage' and value = '"columnstore"') then
        perform set_config('timescaledb.enable_direct_compress_copy', 'on', true),
            set_config('timescaledb.enable_direct_compress_copy_sort_batches', 'off', true);
    end if;
    -- In a statement of its own, after the lock: an epoch that was read before it could be an old one.
    return (select series_epoch());
end
$$;

-- After the COPY: which five minutes are to be rolled up anew. A continuous aggregate knows it without being told.
create or replace function tsobs_store.note_samples(p_buckets timestamptz[]) returns void
language plpgsql set search_path = tsobs_store, pg_temp as $$
begin
    if to_regclass('tsobs_store.sample_touched') is not null then
        insert into sample_touched (bucket) select unnest(p_buckets);
    end if;
end
$$;
