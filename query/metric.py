"""What a metric is, by which labels its series are told apart, and where its past is."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from query.history import History

__all__ = ["LABELS", "Metric", "MetricType", "Source"]


class MetricType(StrEnum):
    """The types of the text format that are used."""

    COUNTER = "counter"
    GAUGE = "gauge"


class Source(NamedTuple):
    """Where a value comes from: a column, what it is multiplied with, a label of its own, and the
    same value in samples (None: it is only known now)."""

    column: str
    scale: float = 1.0
    label: tuple[str, str] | None = None
    history: History | None = None


class Metric(NamedTuple):
    """One metric; `labels` are (label, column) pairs; several sources where a label splits it."""

    name: str
    type: MetricType
    unit: str
    help: str
    relation: str
    labels: tuple[tuple[str, str], ...]
    sources: tuple[Source, ...]

    @property
    def label_names(self) -> tuple[str, ...]:
        """Every label of a series, in the order of the text."""
        own = self.sources[0].label
        return ((own[0],) if own else ()) + tuple(label for label, _ in self.labels)

    @property
    def family(self) -> str:
        """The name as OpenMetrics declares it: a counter's without `_total`."""
        return self.name.removesuffix("_total") if self.type is MetricType.COUNTER else self.name


_CLUSTER = ("cluster", "cluster")
_JOB = (_CLUSTER, ("job_id", "job_id"), ("user", "user_name"))
_NODE = ("node", "node")
_GPU = (("gpu_id", "gpu"), ("gpu_vendor", "vendor"))

# What identifies a row of a relation, (label, column): only labels that never change.
LABELS = {
    "job": _JOB,
    "job_node": (*_JOB, _NODE),
    "job_node_gpu": (*_JOB, _NODE),
    "job_gpu": (_CLUSTER, ("job_id", "job_id"), _NODE, *_GPU),
    "gpu": (_CLUSTER, _NODE, *_GPU),
    "node": (_CLUSTER, _NODE),
    "job_state": (("state", "state"),),
    "service": (),
}
