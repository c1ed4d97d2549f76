from __future__ import annotations

import re

from prometheus_client import Counter, Histogram
from prometheus_client.exposition import generate_latest

from tsobs.selfmetrics import HttpMetrics, make_registry

BASE_UNITS = ("_seconds", "_bytes", "_ratio", "_total", "_info", "_flight", "_fds")


def test_every_sample_says_which_process_it_is_of() -> None:
    registry = make_registry(7)
    Counter("tsobs_x", "X.", ["a"], registry=registry).labels("b").inc()
    Histogram("tsobs_y_seconds", "Y.", registry=registry).observe(1)
    text = generate_latest(registry).decode()
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(re.search(r'process="[^"]+:7"', line) for line in samples), samples
    assert 'tsobs_x_total{a="b",process=' in text
    assert "_created" not in text


def test_registries_share_nothing() -> None:
    first, second = make_registry(), make_registry()
    HttpMetrics.register(first).in_flight.inc()
    assert HttpMetrics.register(second) is not None
    assert "tsobs_http_requests_in_flight" in generate_latest(first).decode()


def test_names_carry_base_units() -> None:
    registry = make_registry()
    HttpMetrics.register(registry)
    for family in registry.collect():
        if family.name.startswith("tsobs_"):
            assert family.name.endswith(BASE_UNITS), family.name
        assert family.documentation
