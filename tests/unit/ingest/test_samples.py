from __future__ import annotations

import time
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from ingest.batch import Batch, parse_batch
from ingest.body import ByteBudget
from ingest.flush import Outcome
from ingest.rows import Rejection
from ingest.samples import SamplesHandler, StreamConflict
from ingest.selfmetrics import IngestMetrics
from tests.batches import Agent

REGISTRY = CollectorRegistry()
HANDLER = SamplesHandler(
    cast("Any", None), IngestMetrics(REGISTRY), budget=ByteBudget(1), max_body_bytes=1
)


def batch(
    node: str = "n1", cluster: str | None = None, more: dict[str, Any] | None = None
) -> Batch:
    body = Agent(node, cluster=cluster).batch() | (more or {})
    return parse_batch(body, b"")


def test_an_answer_says_what_became_of_the_rows() -> None:
    rejected = [Rejection("node_sample", 3, "load1", "out_of_range")]
    answer = HANDLER._answer(batch(), Outcome("accepted", {"node_sample": 4}, rejected))
    assert abs(answer.pop("time") - time.time()) < 1
    assert answer == {
        "status": "accepted",
        "stored": {"node_sample": 4},
        "rejected": [{"table": "node_sample", "row": 3, "field": "load1", "rule": "out_of_range"}],
        "rejected_count": 1,
        "ignored": (),
    }


def test_an_answer_lists_a_hundred_and_counts_all() -> None:
    rejected = [Rejection("node_sample", n, "time", "too_old") for n in range(250)]
    unknown = {f"unknown{n}": 1 for n in range(150)}
    before = REGISTRY.get_sample_value("tsobs_ingest_ignored_columns_total") or 0
    answer = HANDLER._answer(batch(more=unknown), Outcome("accepted", {}, rejected))
    assert (len(answer["rejected"]), answer["rejected_count"]) == (100, 250)
    assert len(answer["ignored"]) == 100
    assert REGISTRY.get_sample_value("tsobs_ingest_ignored_columns_total") == before + 150


def test_a_conflict_is_an_error_of_its_own() -> None:
    with pytest.raises(StreamConflict) as refused:
        HANDLER._answer(batch(), Outcome("conflict", {}, ()))
    assert (refused.value.status, refused.value.code) == (409, "stream_conflict")
    assert refused.value.details["field"] == "stream"
