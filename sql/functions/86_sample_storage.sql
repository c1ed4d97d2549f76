-- How samples of remote-write lie in the database, by what the server can do (sql/README.md has the measurements):
-- everywhere in rows with one index; from TimescaleDB 2.29 Community on, what is COPYed is compressed as it comes, and
-- put in order by a job. Community rolls up by a policy, Apache by roll_samples() (87_*.sql).

-- In rows, or in columns by direct compress.
create or replace procedure tsobs_store.choose_sample_storage()
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
    if (tsobs_store.capability()).has_direct_compress
        and not exists (select from tsobs_store.setting where name = 'sample_storage')
    then
        alter table tsobs_store.sample set (
            timescaledb.enable_columnstore, timescaledb.segmentby = '', timescaledb.orderby = 'series_id, time');
        alter materialized view tsobs_store.sample_5m set (
            timescaledb.enable_columnstore, timescaledb.segmentby = '', timescaledb.orderby = 'series_id, time');
        alter table tsobs_store.exemplar set (
            timescaledb.enable_columnstore, timescaledb.segmentby = '', timescaledb.orderby = 'series_id, time');
        alter table tsobs_store.histogram set (
            timescaledb.enable_columnstore, timescaledb.segmentby = '', timescaledb.orderby = 'series_id, time');
        insert into tsobs_store.setting (name, value) values ('sample_storage', '"columnstore"');
    end if;
end
$$;
call tsobs_store.choose_sample_storage();

-- Makes the jobs and policies that are missing. Called by maintain(), so an upgraded server gets what it can do.
create or replace procedure tsobs_store.keep_sample_storage()
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
    able record;
    keep interval := tsobs_store.remote_write_retention();
begin
    call tsobs_store.choose_sample_storage();
    select * into able from tsobs_store.capability();
    if able.has_direct_compress and not exists (
        select from timescaledb_information.jobs where proc_schema = 'tsobs_store' and proc_name = 'compact_samples')
    then
        perform add_job('tsobs_store.compact_samples', interval '1 minute', fixed_schedule => false);
        -- What comes later than this costs most: its buckets are taken out of their batches again.
        call add_columnstore_policy('tsobs_store.sample_5m', after => interval '2 days', if_not_exists => true);
        call add_columnstore_policy('tsobs_store.exemplar', after => interval '2 days', if_not_exists => true);
        call add_columnstore_policy('tsobs_store.histogram', after => interval '2 days', if_not_exists => true);
    end if;
    -- Never further back than raw samples are: a refresh of what was dropped would empty the rollup.
    if able.has_policies and not exists (
        select from timescaledb_information.jobs
        where proc_name = 'policy_refresh_continuous_aggregate'
            and hypertable_schema = 'tsobs_store' and hypertable_name = 'sample_5m'
            and (config ->> 'start_offset')::interval = keep)
    then
        perform remove_continuous_aggregate_policy('tsobs_store.sample_5m', if_exists => true);
        perform add_continuous_aggregate_policy('tsobs_store.sample_5m', start_offset => keep,
            end_offset => interval '5 minutes', schedule_interval => interval '10 minutes');
    end if;
end
$$;

-- How many batches a reader of one series meets, on average: in a chunk in order it is one.
create or replace function tsobs_store.batch_depth(p_chunk oid) returns double precision
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    depth double precision;
begin
    execute format('select sum(_ts_meta_v2_last_series_id - _ts_meta_v2_first_series_id + 1)'
        ' / greatest(max(_ts_meta_v2_last_series_id) - min(_ts_meta_v2_first_series_id) + 1, 1)::double precision'
        ' from %s', (select compress_relid::regclass from _timescaledb_catalog.compression_settings where relid = p_chunk))
    into depth;
    return coalesce(depth, 0);
end
$$;

-- Waits, not for ever, for a moment in which nobody writes to a chunk: without one compact_chunk does nothing.
create or replace function tsobs_store.await_quiet(p_chunk oid) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    for n in 1..500 loop
        if not exists (select from pg_locks where relation = p_chunk
            and database = (select oid from pg_database where datname = current_database())
            and mode in ('RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))
        then
            return true;
        end if;
        perform pg_sleep(0.004);
    end loop;
    return false;
end
$$;

-- A job of the database, every minute. A chunk that is being written to is compacted in place (nobody waits for it)
-- when a reader would meet 100 batches, and not again for ten times as long as it took. One that has been closed for
-- two hours is written anew once, which leaves no dead rows behind; who writes to it then waits (sql/README.md).
create or replace procedure tsobs_store.compact_samples(job_id int default null, config jsonb default null)
language plpgsql as $$
declare
    target record;
    began timestamptz;
begin
    for target in
        select c.relid, i.range_end < now() - interval '2 hours'
                and (s.rewritten_at is null or s.compacted_at > s.rewritten_at and s.rewritten_at < now() - interval '1 day')
                as is_closed
        from tsobs_store.sample_chunks() as c
        join timescaledb_information.chunks i
            on format('%I.%I', i.chunk_schema, i.chunk_name)::regclass = c.relid
        left join tsobs_store.sample_compaction s on s.chunk = c.relid
        where c.is_unordered
            and (s.chunk is null or now() > greatest(s.compacted_at, s.rewritten_at) + 10 * s.took)
        order by i.range_end desc
    loop
        set local search_path = pg_catalog, public, pg_temp;
        set local lock_timeout = '1s';
        began := clock_timestamp();
        begin
            if target.is_closed then
                -- Fewer headers and a fuller page: half of the room of batches of 1,000, and no slower to read.
                perform set_config('timescaledb.compression_batch_size_limit', '8000', true);
                perform compress_chunk(target.relid, recompress => true);
                insert into tsobs_store.sample_compaction as s (chunk, rewritten_at, took)
                values (target.relid, clock_timestamp(), clock_timestamp() - began)
                on conflict (chunk) do update set rewritten_at = excluded.rewritten_at, took = excluded.took;
            elsif tsobs_store.batch_depth(target.relid) >= 100 and tsobs_store.await_quiet(target.relid) then
                perform _timescaledb_functions.compact_chunk(target.relid);
                insert into tsobs_store.sample_compaction as s (chunk, compacted_at, took)
                values (target.relid, clock_timestamp(), clock_timestamp() - began)
                on conflict (chunk) do update set compacted_at = excluded.compacted_at, took = excluded.took;
            end if;
        exception
            -- Someone reads or writes it. What this cost counts, too.
            when lock_not_available or serialization_failure or deadlock_detected then
                insert into tsobs_store.sample_compaction as s (chunk, compacted_at, took)
                values (target.relid, clock_timestamp(), clock_timestamp() - began)
                on conflict (chunk) do update set compacted_at = excluded.compacted_at, took = excluded.took;
        end;
        commit;
    end loop;
    delete from tsobs_store.sample_compaction where not exists (select from pg_class where oid = chunk);
end
$$;

-- The chunks that are in the columnstore, and whether their batches overlap. 2.29's own catalog.
create or replace function tsobs_store.sample_chunks() returns table (relid oid, is_unordered boolean)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    return query execute
        'select c.relid::oid, _timescaledb_functions.chunk_status_text(c.status) @> array[''UNORDERED'']'
        ' from _timescaledb_catalog.chunk c join _timescaledb_catalog.hypertable h on h.id = c.hypertable_id'
        ' where h.schema_name = ''tsobs_store'' and h.table_name = ''sample'''
        ' and _timescaledb_functions.chunk_status_text(c.status) @> array[''COMPRESSED'']';
end
$$;
