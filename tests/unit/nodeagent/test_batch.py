"""Batches: columns, numbers, and the same bytes under other numbers."""

from __future__ import annotations

import json
import math

import pytest

from nodeagent import batch

STREAM = "a" * 32


def test_rows_become_columns_of_equal_length_and_unmeasured_ones_are_left_out() -> None:
    rows: list[dict[str, float | None]] = [
        {"time": 1.0, "a": 1, "never": None},
        {"time": 2.0, "b": 0},
    ]
    assert batch.columns(rows) == {"time": [1.0, 2.0], "a": [1, None], "b": [None, 0]}
    assert batch.columns([]) == {}


def test_samples_point_at_their_jobs_and_a_job_may_have_none() -> None:
    jobs = [({"job_id": "1"}, None), ({"job_id": "2"}, {"time": 5.0, "cpu_user_s": 0.5})]
    document = json.loads(batch.content({"machine_id": "m"}, jobs=jobs, node_row=None))
    assert document["jobs"] == {"job_id": ["1", "2"]}
    assert document["tables"] == {"job_sample": {"time": [5.0], "cpu_user_s": [0.5], "job": [1]}}


def test_an_idle_node_sends_its_own_sample_only() -> None:
    document = json.loads(batch.content({"m": 1}, jobs=[], node_row={"time": 1.0, "load1": 0.5}))
    assert document == {"m": 1, "tables": {"node_sample": {"time": [1.0], "load1": [0.5]}}}


def test_numbers_lead_the_bytes_and_can_be_read_back() -> None:
    content = batch.content({"machine_id": "m"}, jobs=[], node_row=None)
    body = batch.number(content, STREAM, 17)
    assert json.loads(body)["stream"] == STREAM
    assert json.loads(body)["seq"] == 17
    assert batch.numbers_of(body) == (STREAM, 17)


def test_renumbering_changes_the_numbers_and_no_other_byte() -> None:
    content = batch.content(
        {"machine_id": "m"}, jobs=[({"job_id": "1"}, {"x": 0.1})], node_row=None
    )
    body = batch.number(content, STREAM, 17)
    assert batch.renumber(body, "b" * 32, 3) == batch.number(content, "b" * 32, 3)


def test_what_is_no_batch_is_refused() -> None:
    for body in (b"", b"{}", b'{"stream":"xyz","seq":1,'):
        with pytest.raises(ValueError, match="not a numbered batch"):
            batch.numbers_of(body)
        with pytest.raises(ValueError, match="not a numbered batch"):
            batch.renumber(body, STREAM, 1)


def test_a_value_that_json_does_not_know_never_leaves() -> None:
    with pytest.raises(ValueError, match="JSON"):
        batch.content({}, jobs=[], node_row={"load1": math.nan})
