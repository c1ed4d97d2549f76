"""The table of odd bodies: what Prometheus and VictoriaMetrics answer, and what we do; both
versions."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import pytest

from tests.integration.ingest.remotewrite.writing import Remote, Reply, metric, stored_samples
from tests.integration.ingest.sending import Stored
from tests.remotebodies import STALE, V2Body, now_ms, packed, series, v1_body

NOW = now_ms() // 1000 * 1000
DAY_MS = 86_400_000
Several = Sequence[tuple[Any, Sequence[tuple[int, float]]]]

both = pytest.mark.parametrize("version", [1, 2])


def body_of(version: int, several: Several) -> bytes:
    if version == 1:
        return v1_body(*(series(labels, *samples) for labels, samples in several))
    body = V2Body()
    for labels, samples in several:
        body.add(labels, *samples)
    return body.packed()


async def post(remote: Remote, version: int, several: Several) -> Reply:
    answer = await remote.post(body_of(version, several), version)
    assert (answer.written is not None) is (version == 2)
    return answer


@both
async def test_good(remote: Remote, stored: Stored, version: int) -> None:
    answer = await post(remote, version, [(metric(), [(NOW, 1.5)])])
    assert (answer.status, answer.body) == (204, None)
    assert await stored_samples(stored) == [("up", metric(), NOW, 1.5)]


@both
async def test_identical_duplicates_are_one(remote: Remote, stored: Stored, version: int) -> None:
    twice = [(metric(), [(NOW, 1.5), (NOW, 1.5)]), (metric(), [(NOW, 1.5)])]
    answer = await post(remote, version, twice)
    assert answer.status == 204
    assert answer.written in (None, (3, 0, 0))
    assert await stored_samples(stored) == [("up", metric(), NOW, 1.5)]


@both
async def test_one_time_with_two_values(remote: Remote, stored: Stored, version: int) -> None:
    assert (await post(remote, version, [(metric(), [(NOW, 1.0), (NOW, 2.0)])])).status == 204
    assert [value for *_, value in await stored_samples(stored)] == [1.0, 2.0]


@both
async def test_out_of_order(remote: Remote, stored: Stored, version: int) -> None:
    for times in ([NOW, NOW - 5000, NOW - 2000], [NOW - 9000], [NOW - DAY_MS]):
        answer = await post(remote, version, [(metric(), [(t, 1.0) for t in times])])
        assert answer.status == 204
    assert len(await stored_samples(stored)) == 5


REFUSED_LABELS: dict[str, Any] = {
    "no name": {"job": "x"},
    "empty name": {"__name__": "", "job": "x"},
    "no labels": {},
    "a label twice": [("__name__", "up"), ("a", "1"), ("a", "2")],
    "the name twice": [("__name__", "up"), ("__name__", "down")],
    "a label without name": [("__name__", "up"), ("", "1")],
    "no UTF-8 value": [("__name__", "up"), ("a", b"\xff\xfe")],
    "no UTF-8 name": [("__name__", "up"), (b"\xc3", b"1")],
    "NUL": [("__name__", "up"), ("a", "x\x00y")],
    "a value too long": [("__name__", "up"), ("a", "x" * 16_385)],
    "a name too long": [("__name__", "up"), ("a" * 1025, "x")],
    "too many labels": [("__name__", "up"), *((f"l{n:03}", "x") for n in range(100))],
}


@both
async def test_a_bad_label_set_is_400_and_the_rest_stored(
    remote: Remote, stored: Stored, version: int
) -> None:
    for n, (case, bad) in enumerate(REFUSED_LABELS.items()):
        several = [
            (metric(job="good", case=case), [(NOW, 1.0)]),
            (bad, [(NOW, 2.0), (NOW - 1, 2.0)]),
            (metric(job="good too", case=case), [(NOW, 3.0)]),
        ]
        for _ in range(2):
            answer = await post(remote, version, several)
            assert answer.status == 400, case
            assert answer.body["details"]["refused_count"] == 2
            assert answer.body["details"]["stored_count"] == 2
            assert answer.rule in answer.body["message"]
            assert answer.written in (None, (2, 0, 0))
        values = [value for *_, value in await stored_samples(stored)]
        assert sorted(values) == [1.0] * (n + 1) + [3.0] * (n + 1), case
        alone = await post(remote, version, [(bad, [(NOW, 2.0)])])
        assert alone.status == 400, case
        assert alone.written in (None, (0, 0, 0))


KEPT_LABELS: dict[str, tuple[Any, dict[str, str]]] = {
    "empty value": ({**metric(), "gone": ""}, metric()),
    "unsorted": (dict(reversed(metric(quantile="0.5").items())), metric(quantile="0.5")),
    "newline": (metric(a="x\ny"), metric(a="x\ny")),
    "dots": (metric("a.b.c", **{"x.y": "1"}), metric("a.b.c", **{"x.y": "1"})),
    "spaces": (metric("a b", **{"x y": "1"}), metric("a b", **{"x y": "1"})),
    "emoji": (metric("temperatur_küche", ort="🏠"), metric("temperatur_küche", ort="🏠")),
    "quotes": (metric(a="'\"\\"), metric(a="'\"\\")),
    "longest": (metric(a="x" * 16_384), metric(a="x" * 16_384)),
    "most": (
        {"__name__": "up", **{f"l{n:03}": "x" for n in range(99)}},
        {"__name__": "up", **{f"l{n:03}": "x" for n in range(99)}},
    ),
}


@both
async def test_odd_labels_that_are_kept(remote: Remote, stored: Stored, version: int) -> None:
    for case, (sent, kept) in KEPT_LABELS.items():
        for n in range(2):
            answer = await post(remote, version, [(sent, [(NOW + n, 1.0)])])
            assert answer.status == 204, case
        found = [labels for _, labels, _, _ in await stored_samples(stored)]
        assert found.count(kept) == 2, case
    assert await stored.value("select count(*) from tsobs.series") == len(KEPT_LABELS)


async def test_all_spellings_of_a_label_set_are_one_series(remote: Remote, stored: Stored) -> None:
    pairs = list(metric(a="1", b="2").items())
    spellings = [pairs, pairs[::-1], [*pairs, ("c", "")], [*pairs[1:], pairs[0]]]
    for n, spelling in enumerate(spellings):
        for version in (1, 2):
            several = [(spelling, [(NOW + 10 * n + version, 1.0)])]
            assert (await post(remote, version, several)).status == 204
    assert await stored.value("select count(*) from tsobs.series") == 1
    assert len(await stored_samples(stored)) == 2 * len(spellings)


@both
async def test_a_sample_of_an_impossible_time_is_400_and_the_rest_stored(
    remote: Remote, stored: Stored, version: int
) -> None:
    """Of a series that is not known, and then of one that is."""
    for n, (offset_ms, rule) in enumerate(
        [(20 * 60_000, "ahead"), (605_000, "ahead"), (-31 * DAY_MS, "older"), (-NOW, "older"),
         (-(2**62), "older"), (2**62, "ahead")]
    ):  # fmt: skip
        wrong, good = now_ms() + offset_ms, NOW + n
        several = [(metric(job="x"), [(good, 1.0), (wrong, 2.0)]), (metric(), [(good, 3.0)])]
        answer = await post(remote, version, several)
        assert answer.status == 400, offset_ms
        assert rule in str(answer.rule)
        assert f"at {wrong} ms" in answer.body["message"]
        assert 'job="x"' in answer.body["message"]
        assert answer.body["details"]["refused_count"] == 1
        assert answer.written in (None, (2, 0, 0))
    values = [value for *_, value in await stored_samples(stored)]
    assert sorted(values) == [1.0] * 6 + [3.0] * 6


@both
async def test_times_at_the_edge(remote: Remote, version: int) -> None:
    for offset_ms in (590_000, -29 * DAY_MS):
        answer = await post(remote, version, [(metric(), [(now_ms() + offset_ms, 1.0)])])
        assert answer.status == 204


async def test_an_empty_request(remote: Remote) -> None:
    assert (await remote.post(packed(b""))).status == 204
    answer = await remote.post(packed(b""), 2)
    assert (answer.status, answer.written) == (204, (0, 0, 0))
    answer = await remote.post(V2Body().packed(), 2)
    assert (answer.status, answer.written) == (204, (0, 0, 0))


@both
async def test_what_is_no_body_at_all(remote: Remote, stored: Stored, version: int) -> None:
    good = body_of(version, [(metric(), [(NOW, 1.0)])])
    for body in (
        b"", b"garbage", packed(b"garbage"), good[:-3], b"0" + good[1:], b"\xff" + good[1:],
        good + b"\x00", packed(b'{"json": true}'), b"\xff\xff\xff\xff\x7f" + good,
    ):  # fmt: skip
        answer = await remote.post(body, version)
        assert answer.status == 400, body
        assert answer.body["details"]["field"] == "body"
        assert answer.written == (None if version == 1 else (0, 0, 0))
    assert await stored_samples(stored) == []


@both
async def test_values_keep_their_bits(remote: Remote, stored: Stored, version: int) -> None:
    values = [STALE, math.nan, math.inf, -math.inf, 0.0, 5e-324, 1.7976931348623157e308, -1.5]
    samples = [(NOW + n, value) for n, value in enumerate(values)]
    assert (await post(remote, version, [(metric(), samples)])).status == 204
    rows = await stored.all("select float8send(value) as bits from tsobs.sample order by time")
    assert [row["bits"] for row in rows] == [struct.pack(">d", value) for value in values]
    rows = await stored.all("select count, sum, min, max from tsobs.sample_5m")
    assert sum(row["count"] for row in rows) == 6


async def test_metadata_alone_is_taken_and_kept(remote: Remote, stored: Stored) -> None:
    told = [(1, "http_requests_total", "Requests.", ""), (2, "memory_bytes", "", "bytes")]
    for _ in range(2):
        assert (await remote.post(v1_body(metadata=told))).status == 204
    rows = await stored.all("select metric, type, help, unit from tsobs.metric_metadata order by 1")
    assert [tuple(row.values()) for row in rows] == [
        ("http_requests_total", "counter", "Requests.", ""),
        ("memory_bytes", "gauge", "", "bytes"),
    ]
    changed = [(1, "http_requests_total", "Requests, all.", "")]
    assert (await remote.post(v1_body(metadata=changed))).status == 204
    assert await stored.value("select max(help) from tsobs.metric_metadata") == "Requests, all."


async def test_labels_after_samples_and_unknown_fields_are_read(
    remote: Remote, stored: Stored
) -> None:
    """Nothing in protobuf promises an order of fields."""
    whole = series(metric(), (NOW, 1.0))
    labels = b"".join(
        b"\x0a" + bytes([len(data)]) + data
        for data in (label.SerializeToString() for label in whole.labels)
    )
    [sample] = [one.SerializeToString() for one in whole.samples]
    message = b"\x12" + bytes([len(sample)]) + sample + labels + b"\x78\x01"
    body = packed(b"\x10\x05\x0a" + bytes([len(message)]) + message)
    assert (await remote.post(body)).status == 204
    assert await stored_samples(stored) == [("up", metric(), NOW, 1.0)]
