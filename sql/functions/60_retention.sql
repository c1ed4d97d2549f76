-- Raw retention, the same calls in both editions. The service (or cron, by `tsobs maintain --once`) calls
-- maintain(): on Community it makes the policies by which the database drops, on Apache it drops. Whole chunks go,
-- never single rows.

-- What this server can do: one row, read from the server.
create or replace function tsobs_store.capability(
    out edition text, out timescaledb_version text, out has_policies boolean, out has_direct_compress boolean
) language sql stable set search_path = pg_catalog, public, pg_temp as $$
    select
        case when is_community then 'community' else 'apache' end, version, is_community,
        -- From 2.29: before, columns were not checked and the chunks never put in order again.
        is_community and string_to_array(split_part(version, '-', 1), '.')::int[] >= array[2, 29]
    from (
        select current_setting('timescaledb.license', true) = 'timescale' as is_community, extversion as version
        from pg_extension where extname = 'timescaledb'
    ) as server
$$;

-- How long each hypertable is kept. A rollup is a hypertable of its own.
create or replace function tsobs_store.kept_tables() returns table (kept_table regclass, keep interval)
language sql stable as $$
    select to_regclass('tsobs_store.' || name), make_interval(secs => tsobs_store.setting_number(setting, days) * 86400)
    from (values
        ('job_sample', 'metrics_retention_days', 7), ('gpu_sample', 'metrics_retention_days', 7),
        ('node_sample', 'metrics_retention_days', 7), ('job_reported', 'metrics_retention_days', 7),
        ('sample', 'remote_write_retention_days', 30), ('exemplar', 'remote_write_retention_days', 30),
        ('histogram', 'remote_write_retention_days', 30),
        (case when (tsobs_store.capability()).has_policies then 'sample_5m' else 'sample_5m_rolled' end,
            'sample_5m_retention_days', 365)
    ) as t (name, setting, days)
$$;

-- How long raw samples are kept; rows older than this are refused at ingest.
create or replace function tsobs_store.raw_retention() returns interval language sql stable as $$
    select make_interval(secs => tsobs_store.setting_number('metrics_retention_days', 7) * 86400)
$$;

-- How long raw samples of remote-write are kept.
create or replace function tsobs_store.remote_write_retention() returns interval language sql stable as $$
    select keep from tsobs_store.kept_tables() where kept_table = 'tsobs_store.sample'::regclass
$$;

-- The tables that should have a retention policy of this length and have not.
create or replace function tsobs_store.tables_without_policy() returns table (kept_table regclass, keep interval)
language sql stable set search_path = pg_catalog, public, pg_temp as $$
    select t.kept_table, t.keep
    from tsobs_store.kept_tables() as t
    where (tsobs_store.capability()).has_policies and not exists (
        select from timescaledb_information.jobs
        where proc_name = 'policy_retention'
            and format('%I.%I', hypertable_schema, hypertable_name)::regclass = t.kept_table
            and (config ->> 'drop_after')::interval = t.keep)
$$;

-- Whether nothing is to be done to keep what a setting speaks of for so long.
create or replace function tsobs_store.has_raw_retention(
    p_days double precision, p_setting text default 'metrics_retention_days'
) returns boolean
language sql stable as $$
    select p_days = case p_setting
            when 'metrics_retention_days' then extract(epoch from tsobs_store.raw_retention()) / 86400
            when 'remote_write_retention_days' then extract(epoch from tsobs_store.remote_write_retention()) / 86400
        end
        and not exists (select from tsobs_store.tables_without_policy())
$$;

create or replace procedure tsobs_store.make_retention_policies()
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
    missing record;
begin
    for missing in select * from tsobs_store.tables_without_policy() loop
        perform remove_retention_policy(missing.kept_table, if_exists => true);
        perform add_retention_policy(missing.kept_table, missing.keep, schedule_interval => interval '1 hour');
    end loop;
end
$$;

-- Sets a retention and, where the server has policies, changes them in the same transaction.
create or replace function tsobs_store.set_raw_retention(
    p_days double precision, p_setting text default 'metrics_retention_days'
) returns void
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    if not p_days > 0 then
        raise exception '% must be more than 0', p_setting using errcode = 'invalid_parameter_value';
    end if;
    if p_setting not in ('metrics_retention_days', 'remote_write_retention_days', 'sample_5m_retention_days') then
        raise exception '% is no retention', p_setting using errcode = 'invalid_parameter_value';
    end if;
    -- Also makes a second caller wait until the first one's policies can be seen.
    insert into tsobs_store.setting (name, value) values (p_setting, to_jsonb(p_days))
    on conflict (name) do update set
        value = excluded.value,
        changed_at = case when setting.value = excluded.value then setting.changed_at else now() end;
    call tsobs_store.make_retention_policies();
    call tsobs_store.keep_sample_storage();
end
$$;

-- What policies would do, where there are none; elsewhere sees that the policies are there. One caller at a time;
-- the others return at once. Returns the number of chunks dropped, or null when another is at it. A table whose old
-- chunks are being read is left for the next time: waiting for the reader would make everyone else wait behind it.
create or replace function tsobs_store.maintain() returns int
language plpgsql security definer
set search_path = pg_catalog, public, pg_temp set lock_timeout = '2s' as $$
declare
    kept record;
    dropped int := 0;
    n int;
begin
    if not pg_try_advisory_xact_lock(hashtextextended('tsobs.maintain', 0)) then
        return null;
    end if;
    if (tsobs_store.capability()).has_policies then
        call tsobs_store.make_retention_policies();
        call tsobs_store.keep_sample_storage();
        return 0;
    end if;
    for kept in select * from tsobs_store.kept_tables() loop
        begin
            select count(*) into n from drop_chunks(kept.kept_table, older_than => kept.keep);
            dropped := dropped + n;
        exception
            when lock_not_available then null;
        end;
    end loop;
    return dropped;
end
$$;
