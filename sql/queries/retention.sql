-- name: maintain
-- Drops what is past its retention where the server has no policies; null when another is at it.
select tsobs_store.maintain()

-- name: has_retention
-- $1 days double precision
select tsobs_store.has_raw_retention($1)

-- name: set_retention
-- $1 days double precision
select tsobs_store.set_raw_retention($1)

-- name: lose_jobs
-- Ends running jobs that nobody sees any more, as unknown; how many, or null when another is at it.
select tsobs_store.lose_jobs(now())
