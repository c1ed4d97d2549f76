-- The extension, the two schemas and the roles. Storage lives in tsobs_store; the public relations are the
-- views in tsobs. Roles belong to the server, not to the database: another database may have made them.

create extension if not exists timescaledb;

do $$
declare
    role_name text;
begin
    -- The owner may log in because TimescaleDB runs a policy as the owner of its table, and asks for LOGIN.
    -- None has a password until an administrator gives it one.
    foreach role_name in array array['tsobs_owner', 'tsobs_ingest', 'tsobs_query', 'tsobs_grafana'] loop
        begin
            execute format('create role %I %s', role_name,
                case when role_name in ('tsobs_owner', 'tsobs_grafana') then 'login' else 'nologin' end);
        exception
            when duplicate_object or unique_violation then null;
        end;
        if not pg_has_role(current_user, role_name, 'set') then
            execute format('grant %I to %I', role_name, current_user);
        end if;
    end loop;
end
$$;

create schema tsobs_store authorization tsobs_owner;
create schema tsobs authorization tsobs_owner;
comment on schema tsobs is 'Public relations of tsobs: stable names, base units, unit in the name.';
comment on schema tsobs_store is 'Storage of tsobs: may change with any version; read the views in schema tsobs.';

-- What has been applied: migrations by file name, and the replaceable files (functions, views) as one.
create table tsobs_store.migration (
    name text primary key,
    checksum text not null,
    tsobs_version text not null,
    applied_at timestamptz not null default now()
);
alter table tsobs_store.migration owner to tsobs_owner;
