from __future__ import annotations

from query.metric import LABELS, Metric, MetricType, Source


def test_labels_of_a_series_end_with_the_one_that_splits_it() -> None:
    split = Source("cpu_user_s", label=("mode", "user"))
    labels = LABELS["node"]
    metric = Metric("m_total", MetricType.COUNTER, "", "Help.", "node", labels, (split,))
    assert metric.label_names == ("cluster", "node", "mode")


def test_labels_of_a_series_are_those_of_its_relation() -> None:
    metric = Metric(
        "m", MetricType.GAUGE, "", "Help.", "service", LABELS["service"], (Source("x"),)
    )
    assert metric.label_names == ()
