-- Raw retention, the same calls in both editions. The service (or cron, by `tsobs maintain --once`) calls
-- maintain(): on Community it makes the policies by which the database drops, on Apache it drops. Whole chunks go,
-- never single rows.

-- What this server can do: one row, read from the server.
create or replace function tsobs_store.capability(
    out edition text, out timescaledb_version text, out has_policies boolean
) language sql stable set search_path = pg_catalog, public, pg_temp as $$
    select
        case when current_setting('timescaledb.license', true) = 'timescale' then 'community' else 'apache' end,
        (select extversion from pg_extension where extname = 'timescaledb'),
        current_setting('timescaledb.license', true) = 'timescale'
$$;

create or replace function tsobs_store.raw_tables() returns setof regclass language sql stable as $$
    values ('tsobs_store.job_sample'::regclass), ('tsobs_store.gpu_sample'::regclass),
        ('tsobs_store.node_sample'::regclass), ('tsobs_store.job_reported'::regclass)
$$;

-- How long raw samples are kept; rows older than this are refused at ingest.
create or replace function tsobs_store.raw_retention() returns interval language sql stable as $$
    select make_interval(secs => tsobs_store.setting_number('metrics_retention_days', 7) * 86400)
$$;

-- The raw tables that should have a retention policy of this length and have not.
create or replace function tsobs_store.tables_without_policy(p_retention interval) returns setof regclass
language sql stable set search_path = pg_catalog, public, pg_temp as $$
    select raw_table
    from tsobs_store.raw_tables() as raw_table
    where (tsobs_store.capability()).has_policies and not exists (
        select from timescaledb_information.jobs
        where proc_name = 'policy_retention'
            and format('%I.%I', hypertable_schema, hypertable_name)::regclass = raw_table
            and (config ->> 'drop_after')::interval = p_retention)
$$;

-- Whether nothing is to be done to keep raw samples for so long.
create or replace function tsobs_store.has_raw_retention(p_days double precision) returns boolean
language sql stable as $$
    select tsobs_store.raw_retention() = make_interval(secs => p_days * 86400)
        and not exists (select from tsobs_store.tables_without_policy(tsobs_store.raw_retention()))
$$;

-- Sets the retention and, where the server has policies, changes them in the same transaction.
create or replace function tsobs_store.set_raw_retention(p_days double precision) returns void
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    raw_table regclass;
begin
    if not p_days > 0 then
        raise exception 'metrics_retention_days must be more than 0' using errcode = 'invalid_parameter_value';
    end if;
    -- Also makes a second caller wait until the first one's policies can be seen.
    insert into tsobs_store.setting (name, value) values ('metrics_retention_days', to_jsonb(p_days))
    on conflict (name) do update set
        value = excluded.value,
        changed_at = case when setting.value = excluded.value then setting.changed_at else now() end;
    for raw_table in select tsobs_store.tables_without_policy(tsobs_store.raw_retention()) loop
        perform remove_retention_policy(raw_table, if_exists => true);
        perform add_retention_policy(raw_table, tsobs_store.raw_retention(), schedule_interval => interval '1 hour');
    end loop;
end
$$;

-- What policies would do, where there are none; elsewhere sees that the policies are there. One caller at a time;
-- the others return at once. Returns the number of chunks dropped, or null when another is at it. A table whose old
-- chunks are being read is left for the next time: waiting for the reader would make everyone else wait behind it.
create or replace function tsobs_store.maintain() returns int
language plpgsql security definer
set search_path = pg_catalog, public, pg_temp set lock_timeout = '2s' as $$
declare
    raw_table regclass;
    dropped int := 0;
    n int;
begin
    if not pg_try_advisory_xact_lock(hashtextextended('tsobs.maintain', 0)) then
        return null;
    end if;
    if (tsobs_store.capability()).has_policies then
        if exists (select from tsobs_store.tables_without_policy(tsobs_store.raw_retention())) then
            perform tsobs_store.set_raw_retention(extract(epoch from tsobs_store.raw_retention()) / 86400);
        end if;
        return 0;
    end if;
    for raw_table in select tsobs_store.raw_tables() loop
        begin
            select count(*) into n from drop_chunks(raw_table, older_than => tsobs_store.raw_retention());
            dropped := dropped + n;
        exception
            when lock_not_available then null;
        end;
    end loop;
    return dropped;
end
$$;
