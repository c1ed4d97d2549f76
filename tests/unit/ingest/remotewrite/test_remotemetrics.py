from __future__ import annotations

from prometheus_client import CollectorRegistry

from ingest.remotewrite.remotemetrics import RemoteWriteMetrics


def test_names_are_of_one_family_and_gauges_read_what_they_watch() -> None:
    registry = CollectorRegistry()
    metrics = RemoteWriteMetrics(registry)
    metrics.watch(kernel="c", cached=lambda: 42, held=lambda: 7)
    metrics.refused.labels("no metric name").inc(3)
    families = {family.name for family in registry.collect()}
    assert all(name.startswith("tsobs_remote_write_") for name in families)
    value = registry.get_sample_value
    assert value("tsobs_remote_write_cache_series") == 42
    assert value("tsobs_remote_write_held_bytes") == 7
    assert value("tsobs_remote_write_kernel_info", {"kernel": "c"}) == 1
    reason = {"reason": "no metric name"}
    assert value("tsobs_remote_write_rejected_samples_total", reason) == 3
