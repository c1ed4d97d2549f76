"""What the ingest side says of itself on /metrics/service."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ingest.flush import Outcome

__all__ = ["IngestMetrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10, 30)
_ROWS = (1, 10, 100, 1_000, 3_000, 10_000, 30_000)


class IngestMetrics:
    """Queue, flushes, and what was taken or refused, on the registry that is handed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.queue_batches = Gauge(
            "tsobs_ingest_queue_batches", "Batches that wait for a flush.", registry=registry
        )
        self.queue_bytes = Gauge(
            "tsobs_ingest_queue_bytes", "Bytes of batches queued or in a flush.", registry=registry
        )
        self.queue_wait = Histogram(
            "tsobs_ingest_queue_wait_seconds",
            "Time a batch waited for its flush.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.commit_seconds = Histogram(
            "tsobs_ingest_commit_seconds",
            "Time from a flush's first statement to its commit.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.flush_rows = Histogram(
            "tsobs_ingest_flush_rows", "Rows of a flush.", buckets=_ROWS, registry=registry
        )
        self.rows = Counter(
            "tsobs_ingest_rows", "Rows committed, by table.", ["table"], registry=registry
        )
        self.rejects = Counter(
            "tsobs_ingest_rejected_rows",
            "Rows left out, by table, field and rule.",
            ["table", "field", "rule"],
            registry=registry,
        )
        self.batches = Counter(
            "tsobs_ingest_batches", "Batches answered, by status.", ["status"], registry=registry
        )
        self.skewed = Counter(
            "tsobs_ingest_skewed_batches",
            "Batches of agents whose clock is more than a minute off.",
            registry=registry,
        )
        self.ignored = Counter(
            "tsobs_ingest_ignored_columns",
            "Tables and columns that were sent and are not known here.",
            registry=registry,
        )
        self.failures = Counter(
            "tsobs_ingest_flush_failures", "Flushes that were rolled back.", registry=registry
        )
        self.overloads = Counter(
            "tsobs_ingest_overloads",
            "Requests answered 503 because the queue was full.",
            registry=registry,
        )

    def note(self, outcomes: Sequence[Outcome]) -> None:
        """Counts what a flush did."""
        rows: dict[str, int] = {}
        for outcome in outcomes:
            for table, count in outcome.stored.items():
                rows[table] = rows.get(table, 0) + count
            for refused in outcome.rejected:
                self.rejects.labels(refused.table, refused.field, refused.rule).inc()
        for status, count in Counts(outcome.status for outcome in outcomes).items():
            self.batches.labels(status).inc(count)
        for table, count in rows.items():
            self.rows.labels(table).inc(count)
        self.flush_rows.observe(sum(rows.values()))
