from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from ingest.eventmetrics import EventMetrics


def test_everything_is_there_before_the_first_event() -> None:
    registry = CollectorRegistry()
    EventMetrics(registry).events.labels("created").inc()
    text = generate_latest(registry).decode()
    for name in ("queue", "total", "group_count", "commit_seconds_count"):
        assert f"\ntsobs_events_{name}" in text
    for name in ("failures", "overloads"):
        assert f"\ntsobs_events_{name}_total 0.0" in text
