-- What has been accepted, so that nothing is counted twice; kept for ever, a row a stream.

create table tsobs_store.ingest_stream (
    stream uuid primary key,
    node_id int not null,
    machine_id text not null,
    accepted int8multirange not null default '{}',
    newest_seq bigint not null,
    newest_hash bytea not null,
    batches bigint not null default 0,
    created_at timestamptz not null default now(),
    last_batch_at timestamptz not null default now()
) with (fillfactor = 70);

-- Bodies of remote-write: a retry has the same bytes, so the same 128-bit hash. Kept for 24 hours.
create table tsobs_store.ingest_body (
    hash uuid primary key,
    accepted_at timestamptz not null default now()
);
create index ingest_body_by_age on tsobs_store.ingest_body (accepted_at);
