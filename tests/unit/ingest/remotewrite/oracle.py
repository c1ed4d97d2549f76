"""What a body means: once by protobuf's own parser alone, once by a kernel and the slow path."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from google.protobuf.message import DecodeError

from ingest.remotewrite import ckernel, purekernel, remote1_pb2, remote2_pb2
from ingest.remotewrite.decoded import Decoded, Malformed
from ingest.remotewrite.histograms import read_histogram
from ingest.remotewrite.labels import Labels, Refused, canonical
from ingest.remotewrite.slowpath import Exemplar, OddSeries, SlowPath

KERNELS: list[ModuleType] = [purekernel, *([ckernel] if ckernel.AVAILABLE else [])]
HOUR = 497_000
TYPES = ("unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info",
         "stateset")  # fmt: skip

Meaning = Counter[Any]


def word(value: float) -> int:
    """A float's bits."""
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


class Means:
    """Everything that a body says; `all_metadata` also of series that are refused."""

    def __init__(self) -> None:
        self.data: Meaning = Counter()
        self.metadata: set[Any] = set()
        self.all_metadata: set[Any] = set()

    def odd(self, series: OddSeries) -> None:
        """Adds what the slow path read."""
        labels = series.labels
        for time, bits in zip(series.time_ms.tolist(), series.bits.tolist(), strict=True):
            self.data["sample", labels, time, bits] += 1
        for exemplar in series.exemplars:
            self.data["exemplar", labels, _plain(exemplar)] += 1
        for histogram in series.histograms:
            self.data["histogram", labels, repr(histogram)] += 1
        if series.metadata:
            self.metadata.add(series.metadata)


def _plain(exemplar: Exemplar | Refused) -> Any:
    if isinstance(exemplar, Refused):
        return exemplar
    return exemplar.time_ms, word(exemplar.value), exemplar.labels


def by_protobuf(body: bytes, version: int) -> Means | None:
    """None where protobuf refuses the body."""
    try:
        if version == 1:
            return _means1(remote1_pb2.WriteRequest.FromString(body))
        return _means2(remote2_pb2.Request.FromString(body))
    except DecodeError:
        return None


def _means1(message: remote1_pb2.WriteRequest) -> Means:
    found = Means()
    for series in message.timeseries:
        labels = canonical([(each.name, each.value) for each in series.labels])
        for exemplar in series.exemplars:
            own = canonical([(each.name, each.value) for each in exemplar.labels], named=False)
            _add_exemplar(found, labels, exemplar, own)
        _add_rest(found, labels, series)
    for each in message.metadata:
        found.metadata.add(_described(each.type, each.metric_family_name, each.help, each.unit))
    return found


def _means2(message: remote2_pb2.Request) -> Means:
    found = Means()
    symbols = list(message.symbols)
    for series in message.timeseries:
        labels = _refer(symbols, series.labels_refs)
        empty = not series.samples and not series.histograms
        if empty and not isinstance(labels, Refused):
            labels = Refused("no samples", "{}")
        for exemplar in series.exemplars:
            _add_exemplar(found, labels, exemplar, _refer(symbols, exemplar.labels_refs, False))
        _add_rest(found, labels, series)
        _add_metadata2(found, labels, series, symbols)
    return found


def _refer(symbols: list[bytes], refs: Sequence[int], named: bool = True) -> Labels | Refused:
    if len(refs) % 2:
        return Refused("odd number of label references", "")
    if any(ref >= len(symbols) for ref in refs):
        return Refused("label reference past the symbols", str(max(refs)))
    texts = [symbols[ref] for ref in refs]
    return canonical(list(zip(texts[::2], texts[1::2], strict=True)), named)


def _add_exemplar(found: Means, labels: Labels | Refused, message: Any, own: Any) -> None:
    told = (
        Refused(f"exemplar: {own.rule}", own.shown)
        if isinstance(own, Refused)
        else (message.timestamp, word(message.value), own)
    )
    found.data["exemplar", labels, told] += 1


def _add_rest(found: Means, labels: Labels | Refused, series: Any) -> None:
    for sample in series.samples:
        found.data["sample", labels, sample.timestamp, word(sample.value)] += 1
    for histogram in series.histograms:
        found.data["histogram", labels, repr(read_histogram(histogram))] += 1


def _add_metadata2(found: Means, labels: Any, series: Any, symbols: list[bytes]) -> None:
    if not series.HasField("metadata"):
        return
    message = series.metadata
    refs = list(series.labels_refs)
    named = [
        symbols[value]
        for name, value in zip(refs[::2], refs[1::2], strict=False)
        if max(name, value) < len(symbols) and symbols[name] == b"__name__"
    ]
    if not named:
        return
    if max(message.help_ref, message.unit_ref) >= len(symbols):
        told: Any = Refused(
            "metadata reference past the symbols", named[0].decode(errors="replace")[:200]
        )
    else:
        texts = symbols[message.help_ref], symbols[message.unit_ref]
        if not message.type and not any(texts):
            return
        told = _described(message.type, named[0], *texts)
    found.all_metadata.add(told)
    if not isinstance(labels, Refused):
        found.metadata.add(told)


def _described(kind: int, metric: bytes, *texts: bytes) -> Any:
    named = canonical([(b"__name__", metric)])
    if isinstance(named, Refused):
        return Refused(f"metadata: {named.rule}", named.shown)
    if any(b"\0" in text for text in texts):
        return Refused("metadata: text too long or with NUL", metric.decode()[:200])
    try:
        told = [text.decode() for text in texts]
    except UnicodeDecodeError:
        return Refused("metadata: text not UTF-8", metric.decode()[:200])
    return metric.decode(), TYPES[kind] if kind in range(8) else "unknown", *told


def by_kernel(cache: Any, body: bytes, version: int, known: dict[int, Labels]) -> Means | None:
    """The same by a kernel; what it does not know becomes known, by the numbers in `known`."""
    found = Means()
    try:
        decoded: Decoded = cache.decode(body, version, HOUR)
        slow = SlowPath(body, version, decoded)
        unknown = slow.labels(decoded.unknown)
        for series in slow.odd(decoded.odd):
            found.odd(series)
        found.metadata |= set(slow.metadata(decoded.metadata)) | set(slow.news(decoded.news))
    except Malformed:
        return None
    columns = (decoded.series_id, decoded.time_ms, decoded.bits)
    for code, time, bits in zip(*(column.tolist() for column in columns), strict=True):
        labels = known[code] if code >= 0 else unknown[-1 - code]
        found.data["sample", labels, time, bits] += 1
    for each, labels in zip(decoded.unknown, unknown, strict=True):
        if not isinstance(labels, Refused):
            known[len(known)] = labels
            cache.put([each.fingerprint], [len(known) - 1], HOUR)
    return found


def same_meaning(body: bytes, version: int, caches: Sequence[Any], known: dict[Any, Any]) -> None:
    """Asserts that every kernel and protobuf read the same: twice, as what was unknown the first
    time is known the second."""
    expected = by_protobuf(body, version)
    for _ in range(2):
        for cache in caches:
            means = by_kernel(cache, body, version, known.setdefault(id(cache), {}))
            assert (means is None) == (expected is None)
            if means is None or expected is None:
                continue
            assert means.data == expected.data
            assert means.metadata >= expected.metadata
            assert means.metadata <= expected.metadata | expected.all_metadata


def outline(decoded: Decoded) -> Any:
    """All of it but the fingerprints, which differ from cache to cache."""
    return (
        decoded.series_id.tolist(), decoded.time_ms.tolist(), decoded.bits.tolist(),
        [each[1:] for each in decoded.unknown], decoded.odd, decoded.metadata,
        sorted(decoded.touched.tolist()), decoded.series, decoded.known,
        [each[1:] for each in decoded.news], decoded.symbols.tolist(),
    )  # fmt: skip
