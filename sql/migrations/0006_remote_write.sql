-- What comes in by remote-write: label sets (series), their samples, and the 5-minute rollup of these.
-- The tables are the same in both editions; how samples lie in them is chosen by keep_remote_write() (86_*.sql).

-- Labels, each once. A value has up to 16 KiB, more than an index entry: a long one is told apart by its digest.
create table tsobs_store.label (
    label_id int generated always as identity primary key,
    name text collate "C" not null,
    value text collate "C" not null
);
-- Immutable, because a database never changes its encoding.
create function tsobs_store.value_digest(p_value text) returns bytea
language sql immutable parallel safe strict as $$
    select sha256(convert_to(p_value, 'UTF8'))
$$;
create unique index label_by_value on tsobs_store.label (
    name, left(value, 255), (case when length(value) > 255 then tsobs_store.value_digest(value) else ''::bytea end));

-- One label set; label_ids in the order of the names. last_seen changes once an hour and nothing indexes it,
-- so the update stays in its page. A series not seen for hours ends, and then lies in other indexes than what lives.
create table tsobs_store.series (
    series_id bigint generated always as identity primary key,
    identity uuid not null unique,
    label_ids int[] not null,
    created_at timestamptz not null default now(),
    last_seen timestamptz not null default now(),
    -- No sample is later than this. Null: it lives.
    ended_at timestamptz
) with (fillfactor = 80);
create index series_live on tsobs_store.series (series_id) where ended_at is null;
create index series_ended on tsobs_store.series (ended_at) where ended_at is not null;
create index series_live_labels on tsobs_store.series using gin (label_ids) where ended_at is null;
create index series_ended_labels on tsobs_store.series using gin (label_ids) where ended_at is not null;

-- What maintenance removed, one row a step: a process that remembers series asks what went since it last did.
create table tsobs_store.series_removed (
    epoch bigint primary key,
    series_ids bigint[] not null,
    removed_at timestamptz not null default now()
);

create table tsobs_store.sample (
    time timestamptz not null,
    series_id bigint not null,
    value double precision not null
);
create table tsobs_store.exemplar (
    time timestamptz not null,
    series_id bigint not null,
    value double precision not null,
    labels jsonb not null
);
-- A native histogram as it was sent: counts are integers or floats, buckets are spans with deltas or counts.
create table tsobs_store.histogram (
    time timestamptz not null,
    series_id bigint not null,
    count_int bigint,
    count_float double precision,
    sum double precision not null,
    schema int not null,
    zero_threshold double precision not null,
    zero_count_int bigint,
    zero_count_float double precision,
    negative_span_offsets int[] not null,
    negative_span_lengths bigint[] not null,
    negative_deltas bigint[] not null,
    negative_counts double precision[] not null,
    positive_span_offsets int[] not null,
    positive_span_lengths bigint[] not null,
    positive_deltas bigint[] not null,
    positive_counts double precision[] not null,
    -- 0 unknown, 1 a reset, 2 none, 3 a gauge.
    reset_hint smallint not null,
    custom_values double precision[] not null,
    start_time timestamptz
);
select create_hypertable('tsobs_store.sample', by_range('time', interval '1 hour'), create_default_indexes => false);
select create_hypertable('tsobs_store.exemplar', by_range('time', interval '1 day'), create_default_indexes => false);
select create_hypertable('tsobs_store.histogram', by_range('time', interval '1 day'), create_default_indexes => false);
create index sample_by_series on tsobs_store.sample (series_id, time);
create index exemplar_by_series on tsobs_store.exemplar (series_id, time);
create index histogram_by_series on tsobs_store.histogram (series_id, time);

-- What was done to put a chunk's batches in order, so that it costs a bounded share of a core.
create table tsobs_store.sample_compaction (
    chunk oid primary key,
    compacted_at timestamptz,
    rewritten_at timestamptz,
    took interval not null default '0'
);

create table tsobs_store.metric_metadata (
    metric text collate "C" primary key,
    type text not null,
    help text not null,
    unit text not null,
    updated_at timestamptz not null default now()
);

-- The rollup: time is the start of the five minutes. Of real values only: a stale marker is a NaN, too.
do $$
begin
    if current_setting('timescaledb.license', true) = 'timescale' then
        create materialized view tsobs_store.sample_5m
        with (timescaledb.continuous, timescaledb.materialized_only = false) as
        select
            time_bucket(interval '5 minutes', s.time) as time, s.series_id,
            count(*) as count, sum(s.value) as sum, min(s.value) as min, max(s.value) as max,
            first(s.value, s.time) as first, last(s.value, s.time) as last,
            min(s.time) as first_at, max(s.time) as last_at
        from tsobs_store.sample s
        where s.value <> 'NaN'
        group by 1, 2
        with no data;
        return;
    end if;
    -- The same by hand: roll_samples() makes the rows of buckets before the watermark, a view those after it.
    create table tsobs_store.sample_5m_rolled (
        time timestamptz not null,
        series_id bigint not null,
        count bigint not null,
        sum double precision not null,
        min double precision not null,
        max double precision not null,
        first double precision not null,
        last double precision not null,
        first_at timestamptz not null,
        last_at timestamptz not null
    );
    perform create_hypertable('tsobs_store.sample_5m_rolled', by_range('time', interval '1 day'),
        create_default_indexes => false);
    create index sample_5m_by_series on tsobs_store.sample_5m_rolled (series_id, time);
    -- Rows come in the order of the buckets: what a late sample changed is found without reading the day.
    create index sample_5m_by_time on tsobs_store.sample_5m_rolled using brin (time) with (pages_per_range = 32);
    -- What samples were written to since it was rolled up; a COPY appends, roll_samples() takes away.
    create table tsobs_store.sample_touched (bucket timestamptz not null);
    create table tsobs_store.sample_5m_watermark (only_row boolean primary key default true check (only_row),
        watermark timestamptz not null);
    insert into tsobs_store.sample_5m_watermark (watermark) values ('-infinity');
    create view tsobs_store.sample_5m as
    select r.time, r.series_id, r.count, r.sum, r.min, r.max, r.first, r.last, r.first_at, r.last_at
    from tsobs_store.sample_5m_rolled r
    where r.time < (select watermark from tsobs_store.sample_5m_watermark)
    union all
    select
        time_bucket(interval '5 minutes', s.time) as time, s.series_id,
        count(*) as count, sum(s.value) as sum, min(s.value) as min, max(s.value) as max,
        first(s.value, s.time) as first, last(s.value, s.time) as last,
        min(s.time) as first_at, max(s.time) as last_at
    from tsobs_store.sample s
    where s.value <> 'NaN' and s.time >= (select watermark from tsobs_store.sample_5m_watermark)
    group by 1, 2;
end
$$;
