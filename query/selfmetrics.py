"""What the query side says of itself on /metrics/service."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, Histogram

from tsobs.db import Database

__all__ = ["QueryMetrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class QueryMetrics:
    """The pool, and what a page of /metrics costs, on the registry that is handed in."""

    def __init__(self, registry: CollectorRegistry, database: Database) -> None:
        pool = database.pool
        connections = Gauge(
            "tsobs_query_connections",
            "Database connections of the query side, by use.",
            ["use"],
            registry=registry,
        )
        connections.labels("idle").set_function(pool.get_idle_size)
        connections.labels("busy").set_function(lambda: pool.get_size() - pool.get_idle_size())
        self.read_seconds = Histogram(
            "tsobs_query_metrics_read_seconds",
            "Time to read what /metrics shows from the database.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.render_seconds = Histogram(
            "tsobs_query_metrics_render_seconds",
            "Time from the first to the last byte of /metrics.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.page_bytes = Gauge(
            "tsobs_query_metrics_page_bytes",
            "Size of the last page of /metrics before compression.",
            registry=registry,
        )
        self.label_texts = Gauge(
            "tsobs_query_metrics_label_texts",
            "Label sets that are kept for the next page of /metrics.",
            registry=registry,
        )
        self.job_nodes = Gauge(
            "tsobs_query_metrics_job_nodes",
            "Jobs on nodes that the last page of /metrics showed.",
            registry=registry,
        )
