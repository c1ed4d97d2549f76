from __future__ import annotations

from query.declare import counter, gauge, info, renamed, sampled, split
from query.history import History
from query.metric import MetricType, Source


def test_percent_comes_from_a_ratio() -> None:
    assert gauge("node", "n_percent", "cpu_usage_ratio", "percent", "X.").sources[0].scale == 100.0
    assert gauge("node", "n_ratio", "cpu_usage_ratio", "ratio", "X.").sources[0].scale == 1.0


def test_a_delta_becomes_a_counter_in_base_units() -> None:
    [user, energy] = sampled("job_node", "hpc_job_", "cpu_user_s", "energy_j")
    assert (user.name, user.type) == ("hpc_job_cpu_user_seconds_total", MetricType.COUNTER)
    assert energy.name == "hpc_job_energy_joules_total"
    assert user.help == "CPU time in user mode."


def test_a_gauge_keeps_its_columns_name_or_takes_another() -> None:
    [power] = sampled("gpu", "hpc_gpu_", "power_w")
    assert (power.name, power.unit) == ("hpc_gpu_power_watts", "watts")
    [load] = sampled("node", "hpc_node_", renamed={"load1": "cpu_load"})
    assert (load.name, load.sources[0].column) == ("hpc_node_cpu_load", "load1")


def test_a_split_counter_has_a_source_a_label_value() -> None:
    metric = split("node", "n_total", "seconds", "X.", "mode", {"user": "a", "idle": "b"})
    assert [source.label for source in metric.sources] == [("mode", "user"), ("mode", "idle")]


def test_an_info_metric_carries_more_labels() -> None:
    metric = info("gpu", "hpc_gpu_info", "X.", History("gpu_sample", "1"), "model")
    assert metric.label_names == ("cluster", "node", "gpu_id", "gpu_vendor", "model")


def test_a_counter_is_a_column_as_it_is() -> None:
    metric = counter("job_gpu", "g_total", "busy_s", "seconds", "X.")
    assert metric.sources == (Source("busy_s"),)


def test_a_sampled_column_knows_where_its_past_is() -> None:
    [user] = sampled("job_node", "hpc_job_", "cpu_user_s")
    assert user.sources[0].history == History("job_sample", "cpu_user_s")
    power, energy = sampled("gpu", "hpc_gpu_", "power_w", "energy_j")
    assert power.sources[0].history == History("gpu_sample", "power_w")
    assert energy.sources[0].history == History("gpu_sample", "energy_j * share")


def test_the_same_under_another_name() -> None:
    metric = counter("job_gpu", "g_total", "busy_s", "seconds", "X.")
    assert renamed(metric, "h_total") == metric._replace(name="h_total")
