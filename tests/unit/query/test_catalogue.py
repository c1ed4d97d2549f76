"""The catalogue: names that Prometheus' linter takes, and every measured column in it."""

from __future__ import annotations

import re

import pytest

from query.catalogue import CATALOGUE, SEED_NAMES, of_relation
from query.history import TIME, names
from query.metric import Metric, MetricType
from tsobs.columns import TABLES, Kind

NAME = re.compile(r"hpc_[a-z0-9_]+")

# What the names of an older system, kept for its dashboards, are called in the catalogue.
OLDER_NAMES = {
    "hpc_job_runtime_seconds",
    "hpc_job_cpu_usage_percent",
    "hpc_job_memory_usage_bytes",
    "hpc_job_gpu_usage_percent",
    "hpc_job_gpu_device_utilization_percent",
    "hpc_job_gpu_device_memory_used_bytes",
    "hpc_job_gpu_device_power_watts",
    "hpc_job_gpu_device_temperature_celsius",
    "hpc_jobs",
    "hpc_job_total",
    "hpc_exporter_last_collect_timestamp_seconds",
    "hpc_node_cpu_usage_percent",
    "hpc_node_memory_usage_bytes",
    "hpc_node_gpu_usage_percent",
    "hpc_node_jobs",
    "hpc_node_total_memory_bytes",
    "hpc_node_total_cpus",
    "hpc_node_cpu_load",
}


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_a_metric_is_declared_whole(metric: Metric) -> None:
    assert NAME.fullmatch(metric.name)
    assert metric.help[0].isupper() or metric.help[0].isdigit()
    assert metric.help.endswith((".", ")."))
    assert "\n" not in metric.help
    assert "\\" not in metric.help
    assert '"' not in metric.help
    assert metric.sources
    assert len(set(metric.label_names)) == len(metric.label_names)
    assert (metric.type is MetricType.COUNTER) == metric.name.endswith("_total")


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_the_unit_is_in_the_name(metric: Metric) -> None:
    if metric.unit:
        assert metric.name.removesuffix("_total").endswith(metric.unit)
    assert all((source.scale == 100.0) == (metric.unit == "percent") for source in metric.sources)


def test_names_are_unique() -> None:
    names = [metric.name for metric in CATALOGUE]
    assert len(set(names)) == len(names)


def test_the_older_names_are_there() -> None:
    assert {metric.name for metric in CATALOGUE} >= OLDER_NAMES


def test_older_names_that_are_no_good_are_the_same_metrics() -> None:
    assert {metric.name for metric in SEED_NAMES} == {"hpc_node_job_count", "hpc_job_state_total"}
    for metric in SEED_NAMES:
        [same] = [each for each in CATALOGUE if each._replace(name=metric.name) == metric]
        assert same.name in ("hpc_node_jobs", "hpc_jobs")


def test_families_are_unique() -> None:
    """OpenMetrics takes `_total` off a counter's name."""
    families = [metric.family for metric in CATALOGUE]
    assert len(set(families)) == len(families)
    assert not [name for name in families if name.endswith(("_created", "_bucket", "_count"))]


# What has no past: counts of what there is, of jobs and nodes as they are now.
ONLY_NOW = {
    *("hpc_node_jobs", "hpc_jobs", "hpc_job_total"),
    "hpc_exporter_last_collect_timestamp_seconds",
}


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_a_metric_knows_where_its_past_is(metric: Metric) -> None:
    for source in metric.sources:
        assert (source.history is None) == (metric.name in ONLY_NOW)
        if source.history is None:
            continue
        table = TABLES[source.history.table]
        there = {TIME, *table.keys, *(column.name for column in table.columns)}
        own = names(source.history.value) - there
        if source.history.weight is not None:
            assert metric.type is MetricType.GAUGE
            assert source.history.weight in there
        # A total follows from the samples alone; a gauge may be a value that stands with the job.
        assert not own or metric.type is MetricType.GAUGE
        assert own <= {source.column, "start_s"}


@pytest.mark.parametrize(
    ("relation", "table"),
    [("job_node", "job_sample"), ("gpu", "gpu_sample"), ("node", "node_sample")],
)
def test_every_measured_column_has_a_metric(relation: str, table: str) -> None:
    shown = {
        (source.column, metric.type)
        for metric in of_relation(relation)
        for source in metric.sources
    }
    for column in TABLES[table].columns:
        type_ = MetricType.COUNTER if column.kind is Kind.DELTA else MetricType.GAUGE
        assert (column.name, type_) in shown


def test_sample_series_have_the_labels_that_never_change() -> None:
    for metric in CATALOGUE:
        match metric.relation:
            case "job_node" | "job_node_gpu":
                assert metric.label_names == ("cluster", "job_id", "user", "node")
            case "job_gpu":
                labels = ("cluster", "job_id", "node", "gpu_id", "gpu_vendor")
                assert metric.label_names == labels
            case _:
                pass
