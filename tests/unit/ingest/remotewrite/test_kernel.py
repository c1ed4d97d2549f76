"""What every kernel gives for a body, place by place, and how its cache behaves."""

from __future__ import annotations

import os
import subprocess
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ingest.remotewrite import kernel as in_use
from ingest.remotewrite.decoded import Limits, Malformed
from tests.unit.ingest.remotewrite.bodies import (
    LOOKS_LIKE_A_SAMPLE,
    LOOKS_LIKE_A_SHORT_SAMPLE,
    NOW_MS,
    STALE,
    body1,
    body2,
    field,
    metadata2,
    refs,
    sample,
    series1,
    series2,
    varint,
)
from tests.unit.ingest.remotewrite.oracle import KERNELS

UP = (b"__name__", b"up")
EACH = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.__name__)


def learn(cache: Any, body: bytes, version: int = 1, first: int = 100, hour: int = 7) -> None:
    unknown = cache.decode(body, version, hour).unknown
    cache.put([each.fingerprint for each in unknown], range(first, first + len(unknown)), hour)


def test_the_compiled_one_is_used_where_it_is() -> None:
    assert KERNELS[-1].__name__.endswith(".ckernel" if in_use.KERNEL == "c" else ".purekernel")
    told = subprocess.run(
        [sys.executable, "-c", "from ingest.remotewrite import kernel as k;"
         "print(k.KERNEL, k.SeriesCache.__module__, k.copy_rows.__module__)"],
        env=os.environ | {"TSOBS_KERNEL": "pure"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.split() == [
        "pure", "ingest.remotewrite.purekernel", "ingest.remotewrite.purerows",
    ]  # fmt: skip


@EACH
def test_unknown_series_are_told_once_and_known_ones_by_id(kernel: ModuleType) -> None:
    cache = kernel.SeriesCache(10)
    a, b = series1([UP], [(NOW_MS, 1), (5, 0)]), series1([UP, (b"a", b"b")], [(-1, STALE)])
    body = body1([a, b, a])
    first = cache.decode(body, 1, 7)
    assert first.series_id.tolist() == [-1, -1, -2, -1, -1]
    assert first.time_ms.tolist() == [NOW_MS, 5, -1, NOW_MS, 5]
    assert first.bits.tolist() == [1, 0, STALE, 1, 0]
    assert [body[each.start : each.stop] for each in first.unknown] == [
        series1([UP], []), series1([UP, (b"a", b"b")], []),
    ]  # fmt: skip
    assert (first.series, first.known, first.odd) == (3, 0, [])
    cache.put([each.fingerprint for each in first.unknown], [100, 101], 7)
    again = cache.decode(body, 1, 7)
    assert again.series_id.tolist() == [100, 100, 101, 100, 100]
    assert (again.unknown, again.series, again.known, again.touched.tolist()) == ([], 3, 3, [])
    assert len(cache) == 2
    for column in again[:3]:
        assert not column.flags.writeable


@EACH
def test_any_buffer_is_a_body(kernel: ModuleType) -> None:
    body = body1([series1([UP], [(NOW_MS, 1)])])
    for each in (bytearray(body), memoryview(b"x" + body)[1:], np.frombuffer(body, np.uint8).data):
        assert kernel.SeriesCache(1).decode(each, 1, 7).time_ms.tolist() == [NOW_MS]


@EACH
def test_a_new_hour_touches_once(kernel: ModuleType) -> None:
    cache = kernel.SeriesCache(10)
    body = body1([series1([UP], [(NOW_MS, 1)])])
    learn(cache, body, hour=7)
    hours = [cache.decode(body, 1, hour).touched.tolist() for hour in (7, 8, 8, 7, 9)]
    assert hours == [[], [100], [], [], [100]]


@EACH
@pytest.mark.parametrize("tail", [LOOKS_LIKE_A_SAMPLE, LOOKS_LIKE_A_SHORT_SAMPLE])
def test_a_label_that_looks_like_a_sample_is_a_label(kernel: ModuleType, tail: bytes) -> None:
    cache = kernel.SeriesCache(10)
    plain, hostile = [UP], [UP, (b"z", b"w" * 20 + tail)]
    bodies = [body1([series1(pairs, [(NOW_MS, 7)])]) for pairs in (plain, hostile)]
    for number, body in enumerate(bodies):
        learn(cache, body, first=number)
    for number, body in enumerate(bodies):
        found = cache.decode(body, 1, 7)
        assert found.series_id.tolist() == [number]
        assert found.bits.tolist() == [7]


@EACH
def test_known_labels_do_not_vouch_for_what_follows(kernel: ModuleType) -> None:
    cache = kernel.SeriesCache(10)
    learn(cache, body1([series1([UP], [(NOW_MS, 7)])]))
    stamp = varint(NOW_MS)
    for content, expected in (
        (b"\x09" + b"\1" * 8 + b"\x18" + stamp, None),
        (b"\x09" + b"\1" * 8 + b"\x10" + b"\x80" * 6, None),
        (b"\x10" + b"\x80" * 6, None),
        (b"\x10" + stamp + b"\x09" + b"\1" * 8, [NOW_MS]),
        (b"\x09" + b"\1" * 8 + b"\x10\x81\x80\x80\x80\x80\x00", [1]),
        (b"\x10\x05\x10\x80\x80\x80\x01", [2**21]),
        (b"\x09" + b"\1" * 8 + b"\x10\x05\x10\x06\x10\x87\x00", [7]),
    ):
        found = cache.decode(body1([series1([UP], []) + field(2, content)]), 1, 7)
        assert len(content) in (7, 16)
        if expected is None:
            assert (len(found.odd), len(found.time_ms)) == (1, 0)
        else:
            assert (found.time_ms.tolist(), found.known) == (expected, 1)


@EACH
def test_a_body_cut_anywhere_is_refused_or_shorter(kernel: ModuleType) -> None:
    whole = [series1([UP, (b"a", b"b")], [(NOW_MS, 1), (NOW_MS, 0)]), series1([UP], [(1, 1)])]
    symbols = [b"", b"__name__", b"up"]
    for version, body in (
        (1, body1(whole)), (2, body2(symbols, [series2([1, 2], [(NOW_MS, 1)], metadata2(1, 2, 0))]))
    ):  # fmt: skip
        cache = kernel.SeriesCache(10)
        learn(cache, body, version)
        sound = {len(body), 0}
        if version == 1:
            sound.add(len(body1(whole[:1])))
        else:
            sound |= {len(body2(symbols[:n], [])) for n in range(4)}
        for stop in range(len(body) + 1):
            if stop in sound:
                cache.decode(body[:stop], version, 7)
            else:
                with pytest.raises(Malformed):
                    cache.decode(body[:stop], version, 7)


@EACH
def test_symbols_may_come_last(kernel: ModuleType) -> None:
    cache = kernel.SeriesCache(10)
    message = series2([1, 2], [(NOW_MS, 1)])
    learn(cache, body2([b"", b"__name__", b"up"], [message]), 2)
    late = body2([], [message]) + body2([b"", b"__name__", b"up"], [])
    assert cache.decode(late, 2, 7).series_id.tolist() == [100]
    # The same references to other symbols are another series; the same texts elsewhere are not.
    other = body2([b"", b"__name__", b"down"], [message])
    assert cache.decode(other, 2, 7).series_id.tolist() == [-1]
    moved = body2([b"up", b"", b"__name__"], [series2([2, 0], [(NOW_MS, 1)])])
    assert cache.decode(moved, 2, 7).series_id.tolist() == [100]


@EACH
def test_texts_do_not_run_into_each_other(kernel: ModuleType) -> None:
    cache = kernel.SeriesCache(10)
    learn(cache, body2([b"ab", b"c"], [series2([0, 1], [(NOW_MS, 1)])]), 2)
    for symbols in ([b"a", b"bc"], [b"abc", b""], [b"", b"abc"]):
        other = cache.decode(body2(symbols, [series2([0, 1], [(NOW_MS, 1)])]), 2, 7)
        assert other.series_id.tolist() == [-1]


@EACH
def test_what_symbols_are_where_is_told_only_when_asked_for(kernel: ModuleType) -> None:
    cache = kernel.SeriesCache(10)
    body = body2([b"", b"__name__", b"up"], [series2([1, 2], [(NOW_MS, 1)])])
    places = cache.decode(body, 2, 7).symbols.tolist()
    found = [body[places[n] : places[n + 1]] for n in range(0, len(places), 2)]
    assert found == [b"", b"__name__", b"up"]
    learn(cache, body, 2)
    assert not len(cache.decode(body, 2, 7).symbols)


@EACH
def test_metadata_are_news_until_learned(kernel: ModuleType) -> None:
    cache = kernel.SeriesCache(10)
    symbols = [b"", b"__name__", b"up", b"help", b"job", b"x"]

    def body(kind: int, help_ref: int) -> bytes:
        told = metadata2(kind, help_ref, 0)
        return body2(
            symbols,
            [series2([1, 2], [(NOW_MS, 1)], told), series2([1, 2, 4, 5], [(NOW_MS, 1)], told)],
        )

    found = cache.decode(body(1, 3), 2, 7)
    assert len(found.news) == 1
    assert len(found.time_ms) == 2
    cache.learned([found.news[0].fingerprint])
    assert cache.decode(body(1, 3), 2, 7).news == []
    assert len(cache.decode(body(2, 3), 2, 7).news) == 1
    assert len(cache.decode(body(1, 2), 2, 7).news) == 1
    assert cache.decode(body(0, 0), 2, 7).news == []
    cache.clear()
    assert len(cache.decode(body(1, 3), 2, 7).news) == 1


@EACH
def test_identities_are_found_like_fingerprints(kernel: ModuleType) -> None:
    cache = kernel.SeriesCache(10)
    cache.put([b"a" * 16, b"b" * 16], [5, 6], 7)
    ids, touched = cache.find([b"b" * 16, b"c" * 16, b"a" * 16, b"b" * 16], 7)
    assert (ids.tolist(), touched.tolist()) == ([6, -1, 5, 6], [])
    assert cache.find([b"a" * 16], 8)[1].tolist() == [5]
    with pytest.raises(ValueError, match="16 bytes"):
        cache.put([b"short"], [1], 7)
    with pytest.raises(ValueError):
        cache.put([b"a" * 16], [1, 2], 7)


@EACH
def test_the_cache_is_bounded_and_keeps_what_is_used(kernel: ModuleType) -> None:
    cache = kernel.SeriesCache(100)
    kept = body1([series1([UP, (b"n", b"%d" % n)], [(NOW_MS, 1)]) for n in range(50)])
    learn(cache, kept)
    for flood in range(20):
        cache.decode(kept, 1, 7)
        names = [series1([UP, (b"f", b"%d-%d" % (flood, n))], [(NOW_MS, 1)]) for n in range(20)]
        learn(cache, body1(names), first=1000)
    assert len(cache) == 100
    assert cache.evictions == 50 + 20 * 20 - 100
    assert cache.decode(kept, 1, 7).known == 50


@EACH
def test_what_is_forgotten_is_unknown(kernel: ModuleType) -> None:
    cache = kernel.SeriesCache(10)
    body = body1([series1([UP, (b"n", b"%d" % n)], [(NOW_MS, 1)]) for n in range(5)])
    learn(cache, body)
    assert cache.forget([101, 103, 999]) == 2
    assert cache.decode(body, 1, 7).series_id.tolist() == [100, -1, 102, -2, 104]
    assert cache.forget(set()) == 0
    learn(cache, body, first=200)
    assert cache.decode(body, 1, 7).series_id.tolist() == [100, 200, 102, 201, 104]
    assert cache.evictions == 0
    cache.clear()
    assert len(cache) == 0
    assert cache.decode(body, 1, 7).known == 0


@EACH
def test_two_caches_have_fingerprints_of_their_own(kernel: ModuleType) -> None:
    body = body1([series1([UP], [(NOW_MS, 1)])])
    found = {kernel.SeriesCache(1).decode(body, 1, 7).unknown[0].fingerprint for _ in range(5)}
    assert len(found) == 5


@EACH
@pytest.mark.parametrize(
    ("version", "body"),
    [
        (1, field(1, b"") * (Limits.MESSAGES + 1)),
        (1, field(3, b"") * (Limits.MESSAGES + 1)),
        (2, field(5, b"") * (Limits.MESSAGES + 1)),
        (2, field(4, b"") * (Limits.SYMBOLS + 1)),
        (1, body1([field(2, b"") * (Limits.SAMPLES // 2 + 1)] * 2)),
        (1, body1([field(1, bytes(Limits.MESSAGE_BYTES))])),
        (1, field(3, bytes(Limits.MESSAGE_BYTES + 1))),
        (2, body2([b""], [field(1, bytes(Limits.MESSAGE_BYTES + 2)) + field(2, b"")])),
    ],
    ids=["series", "metadata", "series2", "symbols", "samples", "odd", "help", "refs"],
)
def test_a_small_body_cannot_ask_for_much_memory(
    kernel: ModuleType, version: int, body: bytes
) -> None:
    with pytest.raises(Malformed, match="more than"):
        kernel.SeriesCache(10).decode(body, version, 7)


@EACH
def test_just_within_the_limits(kernel: ModuleType) -> None:
    cache = kernel.SeriesCache(10)
    many = body1([field(2, b"") * (Limits.SAMPLES // 2)] * 2)
    assert len(cache.decode(many, 1, 7).time_ms) == Limits.SAMPLES
    long = body1([field(1, bytes(Limits.MESSAGE_BYTES - 5)) + field(2, sample(NOW_MS, 1))])
    assert len(cache.decode(long, 1, 7).unknown) == 1
    wide = body2([b""], [field(1, refs([0] * 1000)) + field(2, b"")])
    assert len(cache.decode(wide, 2, 7).unknown) == 1


@EACH
def test_arguments_out_of_range(kernel: ModuleType) -> None:
    cache = kernel.SeriesCache(10)
    with pytest.raises(ValueError, match="version"):
        cache.decode(b"", 3, 7)
    with pytest.raises(ValueError, match="capacity"):
        kernel.SeriesCache(0)
    assert cache.decode(b"", 1, 7).series == 0
