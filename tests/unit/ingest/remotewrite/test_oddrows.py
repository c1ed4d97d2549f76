from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from ingest.remotewrite.histograms import Histogram
from ingest.remotewrite.oddrows import exemplar_row, histogram_row
from ingest.remotewrite.sampleflush import EXEMPLAR_COLUMNS, HISTOGRAM_COLUMNS
from ingest.remotewrite.slowpath import Exemplar

MS = 1_767_225_600_250
AT = datetime(2026, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC)


def histogram(**changes: Any) -> Histogram:
    fields: dict[str, Any] = {
        "time_ms": MS, "count_int": 9, "count_float": None, "sum": 1.5, "schema": 1,
        "zero_threshold": 0.1, "zero_count_int": 2, "zero_count_float": None,
        "negative_span_offsets": [], "negative_span_lengths": [], "negative_deltas": [],
        "negative_counts": [], "positive_span_offsets": [0, 3], "positive_span_lengths": [2, 1],
        "positive_deltas": [1, 3, -2], "positive_counts": [], "reset_hint": 2,
        "custom_values": [], "start_ms": MS - 250,
    }  # fmt: skip
    return Histogram(**(fields | changes))


def test_an_exemplar() -> None:
    row = exemplar_row(7, Exemplar(MS, 2.5, (("trace_id", "日本"),)))
    assert len(row) == len(EXEMPLAR_COLUMNS)
    assert row[:3] == (AT, 7, 2.5)
    assert json.loads(row[3]) == {"trace_id": "日本"}


def test_a_histogram_is_stored_as_it_is_sent() -> None:
    sent = histogram()
    row = dict(zip(HISTOGRAM_COLUMNS, histogram_row(7, sent), strict=True))
    assert (row.pop("time"), row.pop("series_id")) == (AT, 7)
    assert row.pop("start_time") == AT.replace(microsecond=0)
    values = sent._asdict()
    assert row == {name: values[name] for name in row}
    assert set(values) - set(row) == {"time_ms", "start_ms"}


def test_a_start_that_cannot_be_is_none() -> None:
    for start_ms in (None, 0, -5, MS + 1, 2**62):
        assert histogram_row(7, histogram(start_ms=start_ms))[-1] is None
