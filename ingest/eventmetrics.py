"""What the committing of events says of itself on /metrics/service."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["EventMetrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10, 30)
_EVENTS = (1, 2, 4, 8, 16, 32, 64)


class EventMetrics:
    """Queue, transactions and outcomes, on the registry that is handed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.queue = Gauge(
            "tsobs_events_queue", "Events that wait for a transaction.", registry=registry
        )
        self.events = Counter(
            "tsobs_events", "Events committed, by outcome.", ["outcome"], registry=registry
        )
        self.group = Histogram(
            "tsobs_events_group",
            "Events that share a transaction.",
            buckets=_EVENTS,
            registry=registry,
        )
        self.commit_seconds = Histogram(
            "tsobs_events_commit_seconds",
            "Time of a transaction of events, tries included.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.failures = Counter(
            "tsobs_events_failures",
            "Transactions of events that the database could not take.",
            registry=registry,
        )
        self.overloads = Counter(
            "tsobs_events_overloads",
            "Events answered 503 because too many waited.",
            registry=registry,
        )
