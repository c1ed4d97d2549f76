"""What the remote-write path says of itself on /metrics/service."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["RemoteWriteMetrics"]

_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SAMPLES = (1, 100, 500, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 500_000)
_PREFIX = "tsobs_remote_write_"


class RemoteWriteMetrics:
    """Bodies, what was in them, the queue, commits and caches, on the registry handed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.bodies = self._counter(
            "bodies",
            "Bodies answered: stored, duplicate, partial, refused, empty, overloaded, failed.",
            "result",
        )
        self.rows = self._counter("samples", "Committed, by kind.", "kind")
        self.identical = self._counter(
            "identical_samples", "Samples sent twice in one commit's bodies, and stored once."
        )
        self.series = self._counter("series", "TimeSeries messages taken in.")
        self.resolved = self._counter(
            "series_resolved", "Series whose id was asked of the database, new or forgotten here."
        )
        self.refused = self._counter(
            "rejected_samples", "Samples, exemplars and histograms refused, by rule.", "reason"
        )
        self.metadata = self._counter("metadata", "Metadata entries received.")
        self.stale = self._counter(
            "stale_bodies", "Bodies looked up again because series of theirs had been removed."
        )
        self.failures = self._counter("flush_failures", "Flushes that were rolled back.")
        self.odd = self._counter("odd_series", "TimeSeries messages read by the slow path.")
        self.hits = self._counter("cache_hits", "TimeSeries messages whose series was known.")
        self.misses = self._counter("cache_misses", "Label sets whose series was not known.")
        self.queue_bodies = self._gauge("queue_bodies", "Bodies that wait for a commit.")
        self.queue_samples = self._gauge("queue_samples", "Samples that wait for a commit.")
        self.resolving = self._gauge("resolving_bodies", "Bodies that wait for series ids.")
        self.queue_wait = self._histogram(
            "queue_wait_seconds", "Time a body waited for its flush.", _SECONDS
        )
        self.commit_seconds = self._histogram(
            "commit_seconds", "Time from a flush's first statement to its commit.", _SECONDS
        )
        self.flush_samples = self._histogram("flush_samples", "Samples of a flush.", _SAMPLES)

    def watch(self, *, kernel: str, cached: Callable[[], int], held: Callable[[], int]) -> None:
        """Gauges of what is counted elsewhere: series cached, bytes held by requests."""
        self._gauge("cache_series", "Series known to the cache.").set_function(cached)
        self._gauge("held_bytes", "Bytes held by requests on their way.").set_function(held)
        info = Gauge(
            f"{_PREFIX}kernel_info", "1, with the decoder in use.", ["kernel"],
            registry=self._registry,
        )  # fmt: skip
        info.labels(kernel).set(1)

    def _counter(self, name: str, help: str, *labels: str) -> Counter:
        return Counter(_PREFIX + name, help, labels, registry=self._registry)

    def _gauge(self, name: str, help: str) -> Gauge:
        return Gauge(_PREFIX + name, help, registry=self._registry)

    def _histogram(self, name: str, help: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(_PREFIX + name, help, buckets=buckets, registry=self._registry)
