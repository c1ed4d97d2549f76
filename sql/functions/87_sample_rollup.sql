-- sample_5m where there are no continuous aggregates. A bucket is rolled up when it is over, and anew when a sample
-- came late. The buckets of one hour a call, each call a transaction, so nobody waits long; true while there is more.

create or replace function tsobs_store.roll_samples() returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    -- Samples of the last bucket are still on their way.
    until timestamptz := time_bucket(interval '5 minutes', now() - interval '1 minute');
    rolled timestamptz;
    due timestamptz[];
    is_more boolean;
begin
    if to_regclass('tsobs_store.sample_touched') is null
        or not pg_try_advisory_xact_lock(hashtextextended('tsobs.roll_samples', 0))
    then
        return false;
    end if;
    with oldest as (select date_trunc('hour', min(bucket)) as hour from tsobs_store.sample_touched where bucket < until)
    select array_agg(distinct t.bucket order by t.bucket) into due
    from tsobs_store.sample_touched t, oldest
    where t.bucket >= oldest.hour and t.bucket < least(oldest.hour + interval '1 hour', until);
    if due is null then
        return false;
    end if;
    -- What is noted from now on stays for the next time, also what was copied before and commits later.
    delete from tsobs_store.sample_touched where bucket = any (due);
    select watermark into rolled from tsobs_store.sample_5m_watermark;
    -- What was dropped since cannot be counted again.
    due := array(select b from unnest(due) as b where b >= now() - tsobs_store.remote_write_retention());
    if due <> '{}' then
        if due[1] < rolled then
            delete from tsobs_store.sample_5m_rolled
            where time = any (due) and time >= due[1] and time <= due[cardinality(due)];
        end if;
        insert into tsobs_store.sample_5m_rolled
        select time_bucket(interval '5 minutes', s.time) as bucket, s.series_id, count(*), sum(s.value), min(s.value),
            max(s.value), first(s.value, s.time), last(s.value, s.time), min(s.time), max(s.time)
        from tsobs_store.sample s
        where s.value <> 'NaN' and s.time >= due[1] and s.time < due[cardinality(due)] + interval '5 minutes'
            and time_bucket(interval '5 minutes', s.time) = any (due)
        group by 1, 2;
        -- After this, what is read is worked out from raw samples.
        update tsobs_store.sample_5m_watermark
        set watermark = greatest(watermark, due[cardinality(due)] + interval '5 minutes');
    end if;
    select exists (select from tsobs_store.sample_touched where bucket < until) into is_more;
    return is_more;
end
$$;
