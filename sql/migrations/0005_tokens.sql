-- Bearer tokens: only a SHA-256 of each is kept. A bound (node, cluster, user_name) narrows what it may do.

create table tsobs_store.api_token (
    id bigint generated always as identity primary key,
    token_hash bytea not null unique check (octet_length(token_hash) = 32),
    name text not null,
    scopes text[] not null check (scopes <@ array['agent', 'events', 'remote_write', 'read', 'admin'] and scopes <> '{}'),
    node text,
    cluster text,
    user_name text,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);
