"""Exemplars and histograms as rows of their tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from ingest.remotewrite.histograms import Histogram
from ingest.remotewrite.slowpath import Exemplar

__all__ = ["exemplar_row", "histogram_row"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def exemplar_row(series_id: int, exemplar: Exemplar) -> tuple[Any, ...]:
    """A row of the table, in the order of EXEMPLAR_COLUMNS."""
    labels = orjson.dumps(dict(exemplar.labels)).decode()
    return (_time(exemplar.time_ms), series_id, exemplar.value, labels)


def histogram_row(series_id: int, histogram: Histogram) -> tuple[Any, ...]:
    """A row of the table, in the order of HISTOGRAM_COLUMNS."""
    time_ms, *values, _ = histogram
    start_ms = histogram.start_ms or 0
    # One that cannot be is as good as none.
    start = _time(start_ms) if 0 < start_ms <= time_ms else None
    return (_time(time_ms), series_id, *values, start)


def _time(unix_ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=unix_ms)
