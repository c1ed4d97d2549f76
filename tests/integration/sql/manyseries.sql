-- Series of many jobs that are over, 30 each with labels of their own, and of nodes that live.
insert into tsobs_store.label (name, value)
select '__name__', 'metric_' || n from generate_series(1, 50) n
union all select 'cluster', 'c' || n from generate_series(1, 2) n
union all select 'job', 'job' || n from generate_series(1, 2) n
union all select 'node', 'n' || lpad(n::text, 4, '0') from generate_series(1, 5000) n
union all select 'user', 'user' || n from generate_series(1, 500) n
union all select 'rack', 'rack' || n from generate_series(1, 200) n
union all select 'team', 'team' || n from generate_series(1, 50) n
union all select 'job_id', n::text from generate_series(1, :jobs) n;
create temp table first as select
    min(label_id) filter (where name = '__name__') as m, min(label_id) filter (where name = 'cluster') as c,
    min(label_id) filter (where name = 'job') as j, min(label_id) filter (where name = 'node') as n,
    min(label_id) filter (where name = 'user') as u, min(label_id) filter (where name = 'rack') as k,
    min(label_id) filter (where name = 'team') as t, min(label_id) filter (where name = 'job_id') as i
from tsobs_store.label;
insert into tsobs_store.series (identity, label_ids, ended_at)
select gen_random_uuid(), array[f.m + x % 30, f.c + x / 30 % 2, f.j, f.i + x / 30, f.n + (x / 30) * 7 % 5000,
    f.k + (x / 30) * 7 % 5000 / 25, f.t + x / 30 % 50, f.u + x / 30 % 500],
    now() - interval '30 days' * (1 - x::float8 / (:jobs * 30)) - interval '4 hours'
from first f, generate_series(0, :jobs * 30 - 1) x;
insert into tsobs_store.series (identity, label_ids)
select gen_random_uuid(), array[f.m + 30 + x % 20, f.c + x / 20 % 2, f.j + 1, f.n + x / 20 % 5000,
    f.k + x / 20 % 5000 / 25, f.t + x / 20 % 50]
from first f, generate_series(0, :live - 1) x;
select gin_clean_pending_list('tsobs_store.series_live_labels'), gin_clean_pending_list('tsobs_store.series_ended_labels');
vacuum analyze tsobs_store.series, tsobs_store.label;
