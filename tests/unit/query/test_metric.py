from __future__ import annotations

from query.metric import LABELS, Metric, MetricType, Source


def test_labels_of_a_series_begin_with_the_one_that_splits_it() -> None:
    split = Source("cpu_user_s", label=("mode", "user"))
    labels = LABELS["node"]
    metric = Metric("m_total", MetricType.COUNTER, "", "Help.", "node", labels, (split,))
    assert metric.label_names == ("mode", "cluster", "node")


def test_labels_of_a_series_are_those_of_its_relation() -> None:
    metric = Metric(
        "m", MetricType.GAUGE, "", "Help.", "service", LABELS["service"], (Source("x"),)
    )
    assert metric.label_names == ()


def test_a_counters_family_has_no_total() -> None:
    labels = LABELS["node"]
    made = Metric("m_total", MetricType.COUNTER, "", "Help.", "node", labels, (Source("x"),))
    assert made.family == "m"
    assert made._replace(type=MetricType.GAUGE).family == "m_total"
