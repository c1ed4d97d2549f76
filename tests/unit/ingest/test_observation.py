from __future__ import annotations

from datetime import UTC, datetime

from ingest.observation import Observation, columns_of, order_of

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def told(job_id: str, **facts: object) -> Observation:
    return Observation("c", "slurm", job_id, None, AT, True, 3, 3, facts, "told", "me", "test")


def test_columns_are_in_the_order_of_the_statement() -> None:
    columns = columns_of([told("1", start_at=AT), told("2", name="x")])
    assert len(columns) == 16
    assert columns[2] == ["1", "2"]
    assert columns[8] == ['{"start_at":"2026-01-02T03:04:05+00:00"}', '{"name":"x"}']
    assert columns[14:] == [[None, None], [None, None]]


def test_ids_are_locked_by_cluster_scheduler_and_id() -> None:
    b = told("10")
    assert sorted([b, told("9"), b._replace(cluster="b")], key=order_of)[0].cluster == "b"
    assert order_of(b) == ("c", "slurm", "10")
