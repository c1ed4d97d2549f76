-- name: resolve_labels
-- One row a label, in order; creates what is new. Each label once, no empty values.
-- $1 name text[], $2 value text[]
select label_id from tsobs_store.resolve_labels($1, $2) as label_id

-- name: resolve_series
-- One row a series, in order; creates what is new, revives what had ended. Each series once.
-- $1 identity uuid[], $2 label ids of all series one after another int[], $3 how many of these each has int[]
select series_id from tsobs_store.resolve_series($1, $2, $3) as series_id

-- name: touch_series
-- Before the COPY of their samples, once an hour; returns those that do not exist any more.
-- $1 series_id bigint[]
select series_id from tsobs_store.touch_series($1) as series_id

-- name: claim_bodies
-- Those that are new; in the COPY's transaction. Waits for whoever has the same body in flight.
-- $1 hash uuid[], sorted
insert into tsobs_store.ingest_body (hash)
select unnest($1::uuid[])
on conflict do nothing
returning hash

-- name: begin_sample_copy
-- First in the COPY's transaction; the epoch of removals.
select tsobs_store.begin_sample_copy()

-- name: note_samples
-- In the COPY's transaction: the five-minute buckets that its samples lie in.
-- $1 start of bucket timestamptz[], each once
select tsobs_store.note_samples($1)

-- name: removed_series
-- The epoch now, and what was removed since; null: too long ago, forget everything.
-- $1 epoch bigint
select epoch, series_ids from tsobs_store.removed_series($1)

-- name: put_metadata
-- How many are news.
-- $1 metric text[], $2 type text[], $3 help text[], $4 unit text[]; each metric once
select tsobs_store.put_metadata($1, $2, $3, $4)

-- name: sample_retention_seconds
select extract(epoch from tsobs_store.remote_write_retention())::double precision
