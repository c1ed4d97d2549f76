-- name: check_health
-- Reads a public relation as the role that answers queries: what fails here fails everywhere.
select pg_is_in_recovery() as is_replica, (select count(*) from tsobs.setting) as settings
