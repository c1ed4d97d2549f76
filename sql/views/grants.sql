-- Who may do what: ingest writes storage, query and Grafana read the public views and nothing below them.

grant usage on schema tsobs_store to tsobs_ingest;
grant usage on schema tsobs to tsobs_ingest, tsobs_query, tsobs_grafana;

grant select, insert, update on
    tsobs_store.node, tsobs_store.gpu, tsobs_store.job, tsobs_store.job_node, tsobs_store.job_gpu,
    tsobs_store.ingest_stream, tsobs_store.job_told
to tsobs_ingest;
grant select, insert on
    tsobs_store.job_event, tsobs_store.job_sample, tsobs_store.gpu_sample, tsobs_store.node_sample,
    tsobs_store.job_reported
to tsobs_ingest;
grant select, insert on
    tsobs_store.ingest_body, tsobs_store.sample, tsobs_store.exemplar, tsobs_store.histogram
to tsobs_ingest;
grant select, insert, update on tsobs_store.label, tsobs_store.series, tsobs_store.metric_metadata to tsobs_ingest;
grant usage on sequence tsobs_store.label_label_id_seq to tsobs_ingest;
grant select on tsobs_store.series_removed to tsobs_ingest;
do $$
begin
    if to_regclass('tsobs_store.sample_touched') is not null then
        grant insert on tsobs_store.sample_touched to tsobs_ingest;
    end if;
end
$$;
grant select on tsobs_store.setting, tsobs_store.job_moved to tsobs_ingest;
grant usage on schema tsobs_store to tsobs_query;
-- A service whose user has these roles and no more checks at its start that the schema is its own version's.
grant select on tsobs_store.migration to tsobs_ingest, tsobs_query;
-- Checking a token needs its hash, and leaves when it was last used.
grant select, update (last_used_at) on tsobs_store.api_token to tsobs_ingest, tsobs_query;

grant select on all tables in schema tsobs to tsobs_ingest, tsobs_query;
grant select on
    tsobs.job, tsobs.node, tsobs.gpu, tsobs.job_node, tsobs.job_gpu, tsobs.job_event, tsobs.job_sample,
    tsobs.gpu_sample, tsobs.node_sample, tsobs.job_reported, tsobs.setting, tsobs.capability,
    tsobs.series, tsobs.sample, tsobs.sample_5m, tsobs.exemplar, tsobs.histogram, tsobs.metric_metadata
to tsobs_grafana;

revoke execute on function
    tsobs_store.set_raw_retention, tsobs_store.maintain, tsobs_store.part_runs, tsobs_store.roll_samples,
    tsobs_store.end_series, tsobs_store.remove_series, tsobs_store.expire_bodies
from public;
grant execute on function
    tsobs_store.maintain, tsobs_store.part_runs, tsobs_store.roll_samples, tsobs_store.end_series,
    tsobs_store.remove_series, tsobs_store.expire_bodies
to tsobs_ingest;
