-- name: create_token
-- $1 hash, $2 name, $3 scopes, $4 node, $5 cluster, $6 user name, $7 seconds until it expires or null
insert into tsobs_store.api_token (token_hash, name, scopes, node, cluster, user_name, expires_at)
values ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))
returning id, name, scopes, node, cluster, user_name, created_at, expires_at, revoked_at, last_used_at

-- name: list_tokens
select id, name, scopes, node, cluster, user_name, created_at, expires_at, revoked_at, last_used_at
from tsobs_store.api_token
order by id

-- name: find_token
-- $1 hash. Revoked and expired ones are found too, so that the answer can say so.
select
    id,
    name,
    scopes,
    node,
    cluster,
    user_name,
    revoked_at is not null as revoked,
    extract(epoch from expires_at - now())::float8 as expires_in_s,
    last_used_at is null or last_used_at < now() - interval '1 minute' as touch
from tsobs_store.api_token
where token_hash = $1

-- name: touch_token
-- $1 id. At most once a minute, and never waiting for another process that does the same.
update tsobs_store.api_token
set last_used_at = now()
where
    id = (
        select id
        from tsobs_store.api_token
        where id = $1 and (last_used_at is null or last_used_at < now() - interval '1 minute')
        for update skip locked
    )

-- name: revoke_token
-- $1 id
update tsobs_store.api_token
set revoked_at = coalesce(revoked_at, now())
where id = $1
returning name

-- name: delete_token
-- $1 id
delete from tsobs_store.api_token
where id = $1
returning name

-- name: count_tokens
-- Any token closes an open service, an expired or revoked one too: what was closed must not open by itself.
select
    count(*) as known,
    count(*) filter (where revoked_at is null and (expires_at is null or expires_at > now())) as active
from tsobs_store.api_token
