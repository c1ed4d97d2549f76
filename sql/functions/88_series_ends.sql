-- How series end and go, a small step a call: each is a short transaction, called until it has nothing left to do.

-- Ends series that nobody touched for three hours. Whoever writes to a series touches it once an hour, and a sample is
-- at most ten minutes ahead: two hours after the last touch there is none. Returns how many, or null when another
-- caller is at it.
create or replace function tsobs_store.end_series() returns int
language plpgsql security definer set search_path = tsobs_store, pg_temp as $$
declare
    n int;
begin
    if not pg_try_advisory_xact_lock(hashtextextended('tsobs.end_series', 0)) then
        return null;
    end if;
    update series s set ended_at = s.last_seen + interval '2 hours'
    from (
        select series_id from series
        where ended_at is null and last_seen < now() - interval '3 hours'
        order by series_id limit 10000 for no key update skip locked
    ) as unseen
    where s.series_id = unseen.series_id;
    get diagnostics n = row_count;
    return n;
end
$$;

-- Where the samples of any tier begin; infinity when there are none.
create or replace function tsobs_store.oldest_sample() returns timestamptz
language sql stable set search_path = pg_catalog, public, pg_temp as $$
    select coalesce(min(c.range_start), 'infinity')
    from timescaledb_information.chunks c
    left join timescaledb_information.continuous_aggregates a
        on a.materialization_hypertable_schema = c.hypertable_schema
        and a.materialization_hypertable_name = c.hypertable_name
    where c.hypertable_schema = 'tsobs_store'
            and c.hypertable_name in ('sample', 'exemplar', 'histogram', 'sample_5m_rolled')
        or a.view_schema = 'tsobs_store' and a.view_name = 'sample_5m'
$$;

-- Removes series that ended before the oldest sample of any tier. Every COPY shares the lock, so what was found in a
-- cache before it is either still there or known to be gone by its epoch; who touched it first has revived it. Whoever
-- wants to copy waits behind this at most half a second.
create or replace function tsobs_store.remove_series() returns int
language plpgsql security definer set search_path = tsobs_store, pg_catalog, pg_temp set lock_timeout = '500ms' as $$
declare
    oldest timestamptz := oldest_sample();
    gone bigint[];
begin
    if not exists (select from series where ended_at < oldest) then
        delete from series_removed where removed_at < now() - interval '7 days' and epoch < series_epoch();
        return 0;
    end if;
    perform pg_advisory_xact_lock(hashtextextended('tsobs.series', 0));
    with removed as (
        delete from series where series_id in (
            select series_id from series where ended_at < oldest order by ended_at limit 5000 for update skip locked)
        returning series_id
    )
    select array_agg(series_id) into gone from removed;
    if gone is null then
        return 0;
    end if;
    insert into series_removed (epoch, series_ids) values (series_epoch() + 1, gone);
    return cardinality(gone);
exception
    -- Someone's COPY takes long: the next time.
    when lock_not_available then return 0;
end
$$;

-- Forgets bodies of remote-write that no sender will send again.
create or replace function tsobs_store.expire_bodies() returns int
language plpgsql security definer set search_path = tsobs_store, pg_temp as $$
declare
    n int;
begin
    delete from ingest_body where hash in (
        select hash from ingest_body where accepted_at < now() - interval '24 hours'
        order by accepted_at limit 10000 for update skip locked);
    get diagnostics n = row_count;
    return n;
end
$$;
