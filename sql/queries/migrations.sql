-- name: lock_migrations
select pg_advisory_lock(hashtextextended('tsobs.migrate', 0))

-- name: timescaledb_available
select coalesce(installed_version, default_version) from pg_available_extensions where name = 'timescaledb'

-- name: timescaledb_is_loaded
-- Its settings exist once the server has loaded it; what a file merely mentions is not shown here.
select exists (select from pg_settings where name like 'timescaledb.%')

-- name: has_migration_table
select to_regclass('tsobs_store.migration') is not null

-- name: list_migrations
select name, checksum from tsobs_store.migration

-- name: become_owner
set local role tsobs_owner

-- name: record_migration
-- $1 name, $2 checksum, $3 tsobs version
insert into tsobs_store.migration (name, checksum, tsobs_version) values ($1, $2, $3)
on conflict (name) do update
set checksum = excluded.checksum, tsobs_version = excluded.tsobs_version, applied_at = now()
