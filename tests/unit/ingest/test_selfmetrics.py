from __future__ import annotations

from prometheus_client import CollectorRegistry

from ingest.flush import Outcome
from ingest.rows import Rejection
from ingest.selfmetrics import IngestMetrics


def test_a_flush_is_counted_by_status_table_and_reason() -> None:
    registry = CollectorRegistry()
    rejected = [Rejection("job_sample", n, "time", "too_old") for n in range(3)]
    rejected.append(Rejection("job_sample", 9, "oom_kills", "out_of_range"))
    IngestMetrics(registry).note(
        [
            Outcome("accepted", {"job_sample": 5, "node_sample": 1}, rejected),
            Outcome("accepted", {"job_sample": 2}, ()),
            Outcome("duplicate", {}, ()),
            Outcome("conflict", {}, ()),
        ]
    )

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    batches = "tsobs_ingest_batches_total"
    assert value(batches, status="accepted") == 2
    assert value(batches, status="duplicate") == value(batches, status="conflict") == 1
    assert value("tsobs_ingest_rows_total", table="job_sample") == 7
    assert value("tsobs_ingest_rows_total", table="node_sample") == 1
    rejects = "tsobs_ingest_rejected_rows_total"
    assert value(rejects, table="job_sample", field="time", rule="too_old") == 3
    assert value(rejects, table="job_sample", field="oom_kills", rule="out_of_range") == 1
    assert value("tsobs_ingest_flush_rows_sum") == 8
    assert value("tsobs_ingest_flush_rows_count") == 1


def test_two_processes_in_one_registry_are_not_possible_by_mistake() -> None:
    one, other = CollectorRegistry(), CollectorRegistry()
    IngestMetrics(one).overloads.inc()
    IngestMetrics(other)
    assert one.get_sample_value("tsobs_ingest_overloads_total") == 1
    assert other.get_sample_value("tsobs_ingest_overloads_total") == 0
