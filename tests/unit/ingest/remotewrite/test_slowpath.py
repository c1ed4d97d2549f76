"""The whole way: label sets, odd messages, metadata, and where a row came from."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.remotewrite import remote1_pb2, remote2_pb2
from ingest.remotewrite.decoded import Decoded, Malformed
from ingest.remotewrite.histograms import Histogram
from ingest.remotewrite.kernel import SeriesCache
from ingest.remotewrite.labels import Refused
from ingest.remotewrite.slowpath import Exemplar, Metadata, OddSeries, SlowPath
from tests.unit.ingest.remotewrite.bodies import (
    NOW_MS,
    STALE,
    body1,
    body2,
    field,
    metadata2,
    refs,
    series1,
    series2,
)

UP = (b"__name__", b"up")
NAMED = (("__name__", "up"),)


def read(body: bytes, version: int) -> tuple[Decoded, SlowPath]:
    decoded = SeriesCache(100).decode(body, version, 1)
    return decoded, SlowPath(memoryview(body), version, decoded)


def odd(body: bytes, version: int) -> list[OddSeries]:
    decoded, slow = read(body, version)
    return slow.odd(decoded.odd)


def test_unknown_regions_become_label_sets() -> None:
    messages = [
        series1([(b"job", b"a"), UP], [(NOW_MS, 1)]),
        series1([(b"job", b"a")], [(NOW_MS, 1)]),
        series1([UP, (b"job", b"a"), (b"none", b"")], [(NOW_MS, 1)]),
    ]
    decoded, slow = read(body1(messages), 1)
    assert slow.labels(decoded.unknown) == [
        (*NAMED, ("job", "a")),
        Refused("no metric name", '{job="a"}'),
        (*NAMED, ("job", "a")),
    ]


def test_references_become_label_sets() -> None:
    symbols = [b"", b"__name__", b"up", b"job", *[b"%d" % n for n in range(300)]]
    body = body2(symbols, [series2([1, 2, 3, 200], [(NOW_MS, 1)]), series2([3, 4], [(NOW_MS, 1)])])
    decoded, slow = read(body, 2)
    assert slow.labels(decoded.unknown)[0] == (*NAMED, ("job", "196"))
    assert isinstance(slow.labels(decoded.unknown)[1], Refused)


def test_an_odd_message_of_1_0_is_read_in_full() -> None:
    message = remote1_pb2.TimeSeries()
    message.labels.add(name=UP[0], value=UP[1])
    message.samples.add(value=struct.unpack("<d", STALE.to_bytes(8, "little"))[0], timestamp=-5)
    exemplar = message.exemplars.add(value=1.5, timestamp=NOW_MS)
    exemplar.labels.add(name=b"trace_id", value=b"1f")
    message.exemplars.add().labels.add(name=b"", value=b"x")
    message.histograms.add(timestamp=NOW_MS)
    message.histograms.add(count_int=3)
    [found] = odd(body1([message.SerializeToString()]), 1)
    assert found.labels == NAMED
    assert (found.time_ms.tolist(), found.bits.tolist()) == ([-5], [STALE])
    assert found.exemplars == [
        Exemplar(NOW_MS, 1.5, (("trace_id", "1f"),)),
        Refused("exemplar: label name empty", '{="x"}'),
    ]
    assert isinstance(found.histograms[0], Histogram)
    assert isinstance(found.histograms[1], Refused)
    assert found.counts == (1, 2, 2)


def test_an_odd_message_of_2_0_is_read_in_full() -> None:
    symbols = [b"", b"__name__", b"up", b"help text", b"s"]
    message = remote2_pb2.TimeSeries(labels_refs=[1, 2])
    message.samples.add(value=1.0, timestamp=NOW_MS, start_timestamp=5)
    message.exemplars.add(labels_refs=[3, 4], value=0.5, timestamp=NOW_MS)
    message.exemplars.add(labels_refs=[3], value=0.5, timestamp=NOW_MS)
    message.metadata.type = 1
    message.metadata.help_ref = 3
    text = message.SerializeToString() + field(6, 17)
    [found] = odd(body2(symbols, [text]), 2)
    assert found.labels == NAMED
    assert found.exemplars[0] == Exemplar(NOW_MS, 0.5, (("help text", "s"),))
    assert found.exemplars[1] == Refused("exemplar: odd number of label references", "")
    assert found.metadata == Metadata("up", "counter", "help text", "")
    assert found.counts == (1, 2, 0)


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        (series2([1, 2], []), "no samples"),
        (series2([1, 2], []) + metadata2(1, 0, 0), "no samples"),
        (series2([1], [(NOW_MS, 1)]), "odd number of label references"),
        (series2([1, 9], [(NOW_MS, 1)]), "label reference past the symbols"),
        (series2([], [(NOW_MS, 1)]), "no metric name"),
    ],
)
def test_what_is_refused_of_2_0(message: bytes, rule: str) -> None:
    [found] = odd(body2([b"", b"__name__", b"up"], [message]), 2)
    assert isinstance(found.labels, Refused)
    assert found.labels.rule == rule


def test_a_series_of_1_0_without_samples_is_nothing_to_store() -> None:
    [found] = odd(body1([series1([UP], [])]), 1)
    assert found.labels == NAMED
    assert found.counts == (0, 0, 0)


@pytest.mark.parametrize("version", [1, 2])
def test_a_broken_message_is_the_bodys_fault(version: int) -> None:
    message = series1([UP], [], b"\x12\x05") if version == 1 else series2([0, 0], [], b"\x12\x05")
    body = body1([message]) if version == 1 else body2([b""], [message])
    decoded, slow = read(body, version)
    with pytest.raises(Malformed):
        slow.odd(decoded.odd)


def test_a_broken_label_is_the_bodys_fault() -> None:
    decoded, slow = read(body1([field(1, b"\x0a\x05") + series1([], [(NOW_MS, 1)])]), 1)
    with pytest.raises(Malformed):
        slow.labels(decoded.unknown)


def test_metadata_of_1_0() -> None:
    described = [
        remote1_pb2.MetricMetadata(
            type=2, metric_family_name=b"up", help=b"is \xc3\xbcp", unit=b"s"
        ),
        remote1_pb2.MetricMetadata(type=99, metric_family_name=b"x"),
        remote1_pb2.MetricMetadata(type=1, help=b"nothing"),
        remote1_pb2.MetricMetadata(metric_family_name=b"x", help=b"\xff"),
        remote1_pb2.MetricMetadata(metric_family_name=b"x", unit=b"\0"),
    ]
    body = b"".join(field(3, each.SerializeToString()) for each in described)
    decoded, slow = read(body, 1)
    assert slow.metadata(decoded.metadata) == [
        Metadata("up", "gauge", "is üp", "s"),
        Metadata("x", "unknown", "", ""),
        Refused("metadata: no metric name", '{__name__=""}'),
        Refused("metadata: text not UTF-8", "x"),
        Refused("metadata: text too long or with NUL", "x"),
    ]


def test_metadata_of_2_0_are_told_though_their_series_is_refused() -> None:
    symbols = [b"", b"__name__", b"up", b"help"]
    body = body2(
        symbols, [series2([1, 2, 3, 3, 3, 3], [(NOW_MS, 1)], metadata2(5, 3, 0)),
                  series2([1, 2], [(NOW_MS, 1)], metadata2(5, 3, 0)),
                  series2([1, 2], [(NOW_MS, 1)], metadata2(0, 0, 0))],
    )  # fmt: skip
    decoded, slow = read(body, 2)
    assert len(decoded.news) == 1
    assert slow.news(decoded.news) == [Metadata("up", "summary", "help", "")]


def test_metadata_of_a_name_that_is_no_text_go_with_their_series() -> None:
    message = series2([1, 2], [(NOW_MS, 1)], metadata2(1, 99, 0))
    decoded, slow = read(body2([b"", b"__name__", b"up\xff"], [message]), 2)
    [one] = slow.odd(decoded.odd)
    assert (decoded.news, one.metadata) == ([], None)
    assert isinstance(one.labels, Refused)


def test_a_hostile_label_set_costs_little() -> None:
    body = body1([field(1, b"") * 50_000 + series1([], [(NOW_MS, 1)])])
    decoded, slow = read(body, 1)
    [found] = slow.labels(decoded.unknown)
    assert isinstance(found, Refused)
    assert found.rule == "too many labels"
    two = body2([b"\0" * 9], [field(1, refs([0] * 50_000)) + series1([], [(NOW_MS, 1)])])
    decoded, slow = read(two, 2)
    assert slow.labels(decoded.unknown)[0][0] == "too many labels"


@settings(deadline=None, max_examples=50)
@given(st.sampled_from([1, 2]), st.lists(st.integers(0, 3), min_size=1, max_size=6), st.booleans())
def test_a_row_leads_back_to_its_labels(version: int, counts: list[int], known: bool) -> None:
    names = [b"m%d" % n for n in range(len(counts))]
    samples = [[(NOW_MS + n, 1) for n in range(count)] for count in counts]
    if version == 1:
        body = body1([series1([(b"__name__", n)], s) for n, s in zip(names, samples, strict=True)])
    else:
        messages = [series2([1, 2 + n], each) for n, each in enumerate(samples)]
        body = body2([b"", b"__name__", *names], messages)
    cache = SeriesCache(100)
    decoded = cache.decode(body, version, 1)
    if known:
        cache.put([each.fingerprint for each in decoded.unknown], range(len(decoded.unknown)), 1)
        decoded = cache.decode(body, version, 1)
    slow = SlowPath(body, version, decoded)
    expected = [n for n, count in enumerate(counts) for _ in range(count)]
    for row, number in enumerate(expected):
        assert slow.labels_of_row(row) == (("__name__", f"m{number}"),)
    assert slow.labels_of_row(len(expected)) is None
