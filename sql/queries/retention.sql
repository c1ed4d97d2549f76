-- name: maintain
-- Drops what is past its retention where the server has no policies; null when another is at it.
select tsobs_store.maintain()

-- name: has_retention
-- $1 days double precision, $2 name of the setting
select tsobs_store.has_raw_retention($1, $2)

-- name: set_retention
-- $1 days double precision, $2 name of the setting
select tsobs_store.set_raw_retention($1, $2)

-- name: lose_jobs
-- Ends running jobs that nobody sees any more, as unknown; how many, or null when another is at it.
select tsobs_store.lose_jobs(now())

-- name: roll_samples
-- Where there are no continuous aggregates: one more bucket of sample_5m; true while there are more.
select tsobs_store.roll_samples()

-- name: end_series
-- Ends some of the series that nobody writes to any more; how many.
select tsobs_store.end_series()

-- name: remove_series
-- Removes some of the series that have no samples left; how many.
select tsobs_store.remove_series()

-- name: expire_bodies
-- Forgets some of the bodies that are older than any retry; how many.
select tsobs_store.expire_bodies()
