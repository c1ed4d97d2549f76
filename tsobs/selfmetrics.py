"""The service's own metrics: a registry that is made once a process and handed in."""

from __future__ import annotations

import dataclasses
import platform
import socket
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Gauge, Histogram, Metric
from prometheus_client.process_collector import ProcessCollector

from tsobs import __version__

__all__ = ["HttpMetrics", "ServiceRegistry", "make_registry"]

# A flush takes 50 ms and a wide query seconds; what is slower than the last ends in a timeout.
_REQUEST_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class ServiceRegistry(CollectorRegistry):
    """A registry that puts one `process` label on every sample.

    Workers share a port, so a scrape meets any one of them: the label keeps their counters apart.
    """

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def collect(self) -> Iterator[Metric]:
        """Every metric family, labelled; without the `_created` twins of OpenMetrics."""
        for family in super().collect():
            family.samples = [
                sample._replace(labels={**sample.labels, "process": self._process})
                for sample in family.samples
                if not sample.name.endswith("_created")
            ]
            yield family


def make_registry(worker: int = 0) -> ServiceRegistry:
    """A registry for one process of the service; worker numbers stay the same over restarts."""
    registry = ServiceRegistry(f"{socket.gethostname()}:{worker}")
    ProcessCollector(registry=registry)
    build = Gauge(
        "tsobs_build_info",
        "1, labelled with the version of the service.",
        ["version", "python"],
        registry=registry,
    )
    build.labels(__version__, platform.python_version()).set(1)
    return registry


@dataclasses.dataclass(frozen=True, slots=True)
class HttpMetrics:
    """What every request leaves behind."""

    duration: Histogram
    in_flight: Gauge
    # Durations by method, route and status: finding one by its labels costs more than the noting.
    _found: dict[tuple[str, str, int], Histogram] = dataclasses.field(default_factory=dict)

    def note(self, method: str, route: str, status: int, duration_s: float) -> None:
        """One request that was answered; there are few routes and fewer statuses."""
        found = self._found.get((method, route, status))
        if found is None:
            found = self.duration.labels(method, route, str(status))
            self._found[method, route, status] = found
        found.observe(duration_s)

    @classmethod
    def register(cls, registry: CollectorRegistry) -> HttpMetrics:
        """Makes the metrics in a registry."""
        return cls(
            Histogram(
                "tsobs_http_request_duration_seconds",
                "Time from a request's headers to the end of its answer.",
                ["method", "route", "status"],
                buckets=_REQUEST_BUCKETS_S,
                registry=registry,
            ),
            Gauge(
                "tsobs_http_requests_in_flight",
                "Requests being answered.",
                registry=registry,
            ),
        )
