"""The receiver suite of prometheus/compliance for remote-write 2.0, row by row; it cannot run here
itself."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ingest.remotewrite import remote2_pb2
from tests.integration.ingest.remotewrite.writing import Remote, Reply
from tests.integration.ingest.sending import Stored
from tests.remotebodies import STALE, V2Body, now_ms, series, v1_body

NOW = now_ms()
UP = {"__name__": "up", "job": "test"}
VALUES = {"1": 1.0, "stale": STALE, "nan": math.nan, "inf": math.inf, "-inf": -math.inf}
LABELS = {
    "up": ({"__name__": "up"}, 204),
    "multiple labels": ({"__name__": "up", "job": "prometheus", "instance": "x:9090"}, 204),
    "newline in value": ({"__name__": "up", "job": "line\nbreak"}, 204),
    "dots": ({"__name__": "a.b.c", "job.name": "x"}, 204),
    "spaces": ({"__name__": "a b", "job name": "x"}, 204),
    "no name": ({"job": "x"}, 400),
    "empty": ({}, 400),
}


async def post(remote: Remote, body: V2Body) -> Reply:
    return await remote.post(body.packed(), 2)


async def test_single_metric(remote: Remote) -> None:
    for case, (pairs, status) in LABELS.items():
        for value in VALUES.values():
            answer = await post(remote, V2Body().add(pairs, (NOW, value)))
            good = int(status == 204)
            assert (answer.status, answer.written) == (status, (good, 0, 0)), (case, value)


@pytest.mark.parametrize("value", ["1", "stale"])
async def test_multiple_metrics(remote: Remote, value: str) -> None:
    def body(*names: str | None) -> V2Body:
        made = V2Body()
        for n, name in enumerate(names):
            pairs = {"job": "test", "n": str(n)} | ({"__name__": name} if name else {})
            made.add(pairs, (NOW, VALUES[value]))
        return made

    for made, expected in (
        (body("a", "b", "c", "d"), (204, (4, 0, 0))),
        (body(None, None, None, None), (400, (0, 0, 0))),
        (body("a", "b", None, "d"), (400, (3, 0, 0))),
    ):
        answer = await post(remote, made)
        assert (answer.status, answer.written) == expected


def histogram(**changes: Any) -> remote2_pb2.Histogram:
    """Ten observations in positive buckets."""
    fields: dict[str, Any] = {
        "count_int": 10, "sum": 12.5, "schema": 1, "zero_threshold": 1e-128, "zero_count_int": 2,
        "positive_spans": [remote2_pb2.BucketSpan(offset=0, length=3)],
        "positive_deltas": [2, 1, 0], "timestamp": NOW,
    }  # fmt: skip
    return remote2_pb2.Histogram(**(fields | changes))


SPAN = remote2_pb2.BucketSpan(offset=0, length=2)
HISTOGRAMS = {
    "basic": (histogram(), 204),
    "custom": (
        histogram(
            schema=-53, zero_threshold=0, zero_count_int=0, custom_values=[0.1, 1.0], count_int=8
        ),
        204,
    ),
    "positive only": (histogram(zero_count_int=0, count_int=8), 204),
    "negative only": (
        histogram(
            positive_spans=[], positive_deltas=[], zero_count_int=0, negative_spans=[SPAN],
            negative_deltas=[4, 2],
        ),
        204,
    ),
    "zero only": (histogram(positive_spans=[], positive_deltas=[], zero_count_int=10), 204),
    "floats": (
        remote2_pb2.Histogram(
            count_float=4.5, sum=1.0, zero_count_float=0.5, positive_spans=[SPAN],
            positive_counts=[1.5, 2.5], timestamp=NOW,
        ),
        204,
    ),
    "empty": (remote2_pb2.Histogram(count_int=0, timestamp=NOW), 204),
    "bad count": (histogram(count_int=11), 400),
}  # fmt: skip


async def test_histograms(remote: Remote, stored: Stored) -> None:
    count = 0
    for case, (sent, status) in HISTOGRAMS.items():
        answer = await post(remote, V2Body().add({**UP, "case": case}, histograms=[sent]))
        good = int(status == 204)
        assert (answer.status, answer.written) == (status, (0, 0, good)), case
        count += good
        assert await stored.value("select count(*) from tsobs.histogram") == count


async def test_multiple_histograms_with_metadata_and_exemplar(
    remote: Remote, stored: Stored
) -> None:
    body = V2Body().add(
        UP,
        histograms=[histogram(), histogram(timestamp=NOW + 1)],
        exemplars=[([("trace_id", "abc")], 1.5, NOW)],
        metadata=(3, "Latency.", "seconds"),
    )
    answer = await post(remote, body)
    assert (answer.status, answer.written) == (204, (0, 1, 2))
    row = await stored.one("select metric, type, help, unit from tsobs.metric_metadata")
    assert tuple(row.values()) == ("up", "histogram", "Latency.", "seconds")
    rows = await stored.all("select * from tsobs_store.histogram order by time")
    assert [row["positive_deltas"] for row in rows] == [[2, 1, 0]] * 2
    assert rows[0]["count_int"] == 10
    assert rows[0]["count_float"] is None


@pytest.mark.parametrize("with_histogram", [False, True])
async def test_created_timestamps_of_old_drafts(remote: Remote, with_histogram: bool) -> None:
    things: dict[str, Any] = {"histograms": [histogram()]} if with_histogram else {}
    samples = [] if with_histogram else [(NOW, 1.0)]
    answer = await post(remote, V2Body().add(UP, *samples, created_ms=NOW - 1000, **things))
    assert (answer.status, answer.written) == (204, (0, 0, 1) if with_histogram else (1, 0, 0))


KINDS = (
    "unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset",
)  # fmt: skip


async def test_metadata_of_every_type(remote: Remote, stored: Stored) -> None:
    for kind, name in enumerate(KINDS):
        await check_metadata(remote, stored, kind, name)


async def check_metadata(remote: Remote, stored: Stored, kind: int, name: str) -> None:
    told = (kind, 'Help: "quoted", \\ and ümläut\n', "apples_per_second")
    answer = await post(remote, V2Body().add(UP, (NOW, 1.0), metadata=told))
    assert (answer.status, answer.written) == (204, (1, 0, 0))
    row = await stored.one("select type, help, unit from tsobs.metric_metadata")
    assert (row["help"], row["unit"]) == told[1:]
    # What is unspecified is not known.
    assert row["type"] == name


async def test_metadata_that_changes(remote: Remote, stored: Stored) -> None:
    for n, help in enumerate(["one", "one", "two", "three"]):
        body = V2Body().add(UP, (NOW + n, 1.0), metadata=(1, help, ""))
        assert (await post(remote, body)).status == 204
        assert await stored.value("select help from tsobs.metric_metadata") == help
    assert await stored.value("select count(*) from tsobs.sample") == 4


@pytest.mark.parametrize(
    ("pairs", "status"), [({"job": "x"}, 400), ({"__name__": "", "job": "x"}, 400), (UP, 204)]
)
@pytest.mark.parametrize("what", ["metadata", "exemplar"])
async def test_validation_with_metadata_and_exemplars(
    remote: Remote, stored: Stored, pairs: dict[str, str], status: int, what: str
) -> None:
    things: dict[str, Any] = (
        {"metadata": (1, "x", "")} if what == "metadata" else {"exemplars": [([], 1.0, NOW)]}
    )
    answer = await post(remote, V2Body().add(pairs, (NOW, 1.0), **things))
    good = int(status == 204)
    assert answer.status == status
    assert answer.written == (good, good if what == "exemplar" else 0, 0)
    assert await stored.value("select count(*) from tsobs.exemplar") == (
        good if what == "exemplar" else 0
    )


EXEMPLARS: dict[str, list[Any]] = {
    "trace": [([("trace_id", "abc"), ("span_id", "1")], 1.0, NOW)],
    "no trace_id": [([("user", "x")], 1.0, NOW)],
    "no labels": [([], 1.0, NOW)],
    "unicode": [([("trace_id", "日本語"), ("größe", "🚀")], 1.0, NOW)],
    "times": [([("t", str(n))], 1.0, NOW - n) for n in (3_600_000, 60_000, 0)],
    "values": [([("v", str(v))], v, NOW) for v in (math.nan, math.inf, -math.inf)],
    "several": [([("t", str(n))], float(n), NOW + n) for n in range(5)],
}


async def test_exemplars(remote: Remote, stored: Stored) -> None:
    count = 0
    for case, sent in EXEMPLARS.items():
        body = V2Body().add({**UP, "case": case}, (NOW, 1.0), exemplars=sent)
        answer = await post(remote, body)
        assert (answer.status, answer.written) == (204, (1, len(sent), 0)), case
        count += len(sent)
        assert await stored.value("select count(*) from tsobs.exemplar") == count


@pytest.mark.parametrize("what", ["metadata", "exemplar"])
async def test_without_samples(remote: Remote, what: str) -> None:
    things: dict[str, Any] = (
        {"metadata": (1, "x", "")} if what == "metadata" else {"exemplars": [([], 1.0, NOW)]}
    )
    answer = await post(remote, V2Body().add(UP, **things))
    assert (answer.status, answer.written) == (400, (0, 0, 0))


async def test_a_sample_of_an_hour_ago(remote: Remote) -> None:
    answer = await post(remote, V2Body().add(UP, (NOW - 3_600_000, 1.0)))
    assert (answer.status, answer.written) == (204, (1, 0, 0))


@pytest.mark.parametrize("with_histogram", [False, True])
async def test_many(remote: Remote, stored: Stored, with_histogram: bool) -> None:
    body = V2Body()
    for n in range(50):
        body.add(
            {"__name__": f"metric_{n}", "job": "test"},
            *([] if with_histogram else [(NOW, float(n))]),
            histograms=[histogram()] if with_histogram else [],
            exemplars=[([("trace_id", str(n))], 1.0, NOW)],
            metadata=(1, f"help {n}", ""),
        )
    answer = await post(remote, body)
    assert answer.status == 204
    assert answer.written == ((0, 50, 50) if with_histogram else (50, 50, 0))
    assert await stored.value("select count(*) from tsobs.metric_metadata") == 50


async def test_references_that_lead_nowhere(remote: Remote, stored: Stored) -> None:
    for refs in ([1, 99], [1], [1, 2, 3], [2**32 - 1, 1]):
        body = V2Body().add(UP, (NOW, 1.0))
        bad = body.request.timeseries.add(labels_refs=refs)
        bad.samples.add(timestamp=NOW, value=1.0)
        answer = await post(remote, body)
        assert answer.status == 400
        assert answer.written in ((0, 0, 0), (1, 0, 0))
    assert await stored.value("select count(distinct time) from tsobs.sample") == 1


async def test_1_0_without_version_header_and_in_random_order(remote: Remote) -> None:
    """A sender that found Written headers would take them for a promise."""
    pairs = [("job", "x"), ("__name__", "up"), ("instance", "y")]
    more = {"X-Prometheus-Remote-Write-Version": None}
    answer = await remote.post(v1_body(series(pairs)), 1, more)
    assert (answer.status, answer.written) == (204, None)
    answer = await remote.post(b"\xff" + v1_body(series(pairs))[1:], 1, more)
    assert (answer.status, answer.written) == (400, None)
