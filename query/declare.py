"""Short ways to declare a metric from the column that it shows."""

from __future__ import annotations

from query.history import History
from query.metric import LABELS, Metric, MetricType, Source
from tsobs.columns import TABLES, Kind

__all__ = ["counter", "gauge", "info", "renamed", "sampled", "split"]

_SAMPLES = {"job_node": "job_sample", "gpu": "gpu_sample", "node": "node_sample"}

# Unit by a column's ending, and how a metric's name says it: promtool asks for base units.
_UNITS = {
    "_s": "seconds",
    "_bytes": "bytes",
    "_j": "joules",
    "_w": "watts",
    "_hz": "hertz",
    "_ratio": "ratio",
    "_celsius": "celsius",
}


def gauge(
    relation: str,
    name: str,
    column: str,
    unit: str,
    help: str,
    history: History | None = None,
) -> Metric:
    """A gauge; in percent when its unit says so, from a column that is a ratio."""
    source = Source(column, scale=100.0 if unit == "percent" else 1.0, history=history)
    return Metric(name, MetricType.GAUGE, unit, help, relation, LABELS[relation], (source,))


def counter(
    relation: str,
    name: str,
    column: str,
    unit: str,
    help: str,
    history: History | None = None,
) -> Metric:
    """A counter: the running total of a column."""
    source = Source(column, history=history)
    return Metric(name, MetricType.COUNTER, unit, help, relation, LABELS[relation], (source,))


def split(
    relation: str, name: str, unit: str, help: str, label: str, columns: dict[str, str]
) -> Metric:
    """A counter that a label splits: `columns` gives the measured column of each value of the
    label."""
    table = _SAMPLES[relation]
    sources = tuple(
        Source(column, label=(label, value), history=History(table, column))
        for value, column in columns.items()
    )
    return Metric(name, MetricType.COUNTER, unit, help, relation, LABELS[relation], sources)


def info(relation: str, name: str, help: str, history: History, *more: str) -> Metric:
    """A gauge that is always 1 and carries what else is known, for joins."""
    labels = (*LABELS[relation], *((column, column) for column in more))
    source = Source("info", history=history)
    return Metric(name, MetricType.GAUGE, "", help, relation, labels, (source,))


def renamed(metric: Metric, name: str) -> Metric:
    """The same under another name."""
    return metric._replace(name=name)


def sampled(
    relation: str, prefix: str, *columns: str, renamed: dict[str, str] | None = None
) -> list[Metric]:
    """Metrics of measured columns, named after them or as `renamed` says; a delta is a counter."""
    table = _SAMPLES[relation]
    declared = {column.name: column for column in TABLES[table].columns}
    metrics = []
    for name in (*columns, *(renamed or {})):
        column = declared[name]
        unit, base = _unit((renamed or {}).get(name, name))
        help = f"{column.help[0].upper()}{column.help[1:]}."
        if column.kind is Kind.DELTA:
            # A GPU's rows at one time are one a job that shares it, each with all of the delta.
            value = f"{name} * share" if relation == "gpu" else name
            history = History(table, value)
            metrics.append(counter(relation, f"{prefix}{base}_total", name, unit, help, history))
        else:
            history = History(table, name)
            metrics.append(gauge(relation, f"{prefix}{base}", name, unit, help, history))
    return metrics


def _unit(name: str) -> tuple[str, str]:
    """A column's unit, and its name with the unit written out: cpu_user_s, cpu_user_seconds."""
    for ending, unit in _UNITS.items():
        if name.endswith(ending):
            return unit, f"{name.removesuffix(ending)}_{unit}"
    return "", name
