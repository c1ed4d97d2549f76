"""The whole way through a body, by protobuf's own parser: what the fast path left to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from google.protobuf.message import DecodeError

from ingest.remotewrite import remote1_pb2, remote2_pb2
from ingest.remotewrite.decoded import Decoded, Ints, Limits, Malformed, Unknown, Words
from ingest.remotewrite.histograms import Histogram, read_histogram
from ingest.remotewrite.kernel import read_labels
from ingest.remotewrite.labels import Labels, Refused, canonical, shown
from ingest.remotewrite.puremessage import read1, read2
from ingest.remotewrite.wire import BYTES, fields

__all__ = ["Exemplar", "Metadata", "OddSeries", "SlowPath"]

Pairs = list[tuple[bytes, bytes]]
Read = TypeVar("Read")

TYPES = (
    "unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset",
)  # fmt: skip
MAX_TEXT_BYTES = 16_384


class Exemplar(NamedTuple):
    """A single observation behind a series, with labels of its own."""

    time_ms: int
    value: float
    labels: Labels


class Metadata(NamedTuple):
    """What a metric is, as its sender describes it."""

    metric: str
    type: str
    help: str
    unit: str


class OddSeries(NamedTuple):
    """All of one TimeSeries message; if `labels` are refused, so is all the rest."""

    labels: Labels | Refused
    time_ms: Ints
    bits: Words
    exemplars: list[Exemplar | Refused]
    histograms: list[Histogram | Refused]
    metadata: Metadata | Refused | None
    # Samples, exemplars, histograms, as sent.
    counts: tuple[int, int, int]


class SlowPath:
    """Reads parts of one body; each call may raise Malformed, and then no part of it counts."""

    def __init__(
        self, body: bytes | bytearray | memoryview, version: int, decoded: Decoded
    ) -> None:
        self._body = memoryview(body)
        self._version = version
        self._decoded = decoded
        self._symbols: list[bytes] = []
        self._symbol_column: Ints | None = None
        if version == 2:
            self._symbol_column = decoded.symbols if len(decoded.symbols) else self._find_symbols()
            places = self._symbol_column.tolist()
            self._symbols = [
                self._slice(*place) for place in zip(places[::2], places[1::2], strict=True)
            ]

    def labels(self, unknown: Sequence[Unknown]) -> list[Labels | Refused]:
        """The label set of each region."""
        body, symbols = self._body, self._symbol_column
        return [
            read_labels(body, each.start, each.stop, symbols) or self._labels(each.start, each.stop)
            for each in unknown
        ]

    def odd(self, spans: Sequence[tuple[int, int]]) -> list[OddSeries]:
        """Each TimeSeries message in full."""
        read = self._odd1 if self._version == 1 else self._odd2
        return [read(self._slice(start, stop)) for start, stop in spans]

    def metadata(self, spans: Sequence[tuple[int, int]]) -> list[Metadata | Refused]:
        """Each MetricMetadata message (1.0)."""
        found = []
        for start, stop in spans:
            message = _parse(remote1_pb2.MetricMetadata.FromString, self._slice(start, stop))
            found.append(
                _metadata(message.type, message.metric_family_name, message.help, message.unit)
            )
        return found

    def news(self, news: Sequence[Unknown]) -> list[Metadata | Refused]:
        """The metadata of each of these TimeSeries messages (2.0)."""
        return [self._news(self._slice(each.start, each.stop)) for each in news]

    def labels_of_row(self, row: int) -> Labels | Refused | None:
        """The label set of a row of the columns, to be named in a message."""
        odd = {start for start, _ in self._decoded.odd}
        body = bytes(self._body)
        number, read = (1, read1) if self._version == 1 else (5, read2)
        for field in fields(body, 0, len(body)):
            if field.number != number or field.wire != BYTES or field.start in odd:
                continue
            message = read(body, field.start, field.stop)
            row -= len(message.samples) if message else 0
            if message and row < 0:
                return self._labels(message.start, message.stop)
        return None

    def _slice(self, start: int, stop: int) -> bytes:
        return bytes(self._body[start:stop])

    def _find_symbols(self) -> Ints:
        body = bytes(self._body)
        places = [
            (field.start, field.stop)
            for field in fields(body, 0, len(body))
            if field.number == 4 and field.wire == BYTES
        ]
        return np.array(places, np.int64).reshape(-1)

    def _labels(self, start: int, stop: int) -> Labels | Refused:
        if self._version == 1:
            message = _parse(remote1_pb2.TimeSeries.FromString, self._slice(start, stop))
            return canonical(_pairs1(message.labels))
        # A packed field of its own is a whole message.
        text = _packed(self._slice(start, stop))
        return self._refer(_parse(remote2_pb2.TimeSeries.FromString, text).labels_refs)

    def _refer(self, refs: Sequence[int], named: bool = True) -> Labels | Refused:
        if len(refs) % 2:
            return Refused("odd number of label references", "")
        used = refs[: 2 * Limits.LABELS + 2]
        if used and max(refs) >= len(self._symbols):
            return Refused("label reference past the symbols", str(max(refs)))
        texts = [self._symbols[ref] for ref in used]
        return canonical(list(zip(texts[::2], texts[1::2], strict=True)), named)

    def _odd1(self, text: bytes) -> OddSeries:
        message = _parse(remote1_pb2.TimeSeries.FromString, text)
        exemplars = [
            _exemplar(each, canonical(_pairs1(each.labels), named=False))
            for each in message.exemplars
        ]
        return _odd(message, canonical(_pairs1(message.labels)), exemplars, None)

    def _odd2(self, text: bytes) -> OddSeries:
        message = _parse(remote2_pb2.TimeSeries.FromString, text)
        exemplars = [
            _exemplar(each, self._refer(each.labels_refs, named=False))
            for each in message.exemplars
        ]
        labels = self._refer(message.labels_refs)
        metadata = None
        if not isinstance(labels, Refused):
            if not message.samples and not message.histograms:
                labels = Refused("no samples", shown([]))
            elif message.HasField("metadata"):
                metadata = self._metadata2(dict(labels)["__name__"].encode(), message.metadata)
        return _odd(message, labels, exemplars, metadata)

    def _news(self, text: bytes) -> Metadata | Refused:
        # Of the metric alone: what else is wrong with its series is no matter here.
        message = _parse(remote2_pb2.TimeSeries.FromString, text)
        texts = [self._symbols[ref] for ref in message.labels_refs]
        metric = next(
            (value for name, value in zip(texts[::2], texts[1::2], strict=True)
             if name == b"__name__"), b"",
        )  # fmt: skip
        return self._metadata2(metric, message.metadata) or Refused("no metadata", "")

    def _metadata2(self, metric: bytes, message: remote2_pb2.Metadata) -> Metadata | Refused | None:
        if max(message.help_ref, message.unit_ref) >= len(self._symbols):
            return Refused(
                "metadata reference past the symbols", metric.decode(errors="replace")[:200]
            )
        texts = self._symbols[message.help_ref], self._symbols[message.unit_ref]
        if not message.type and not any(texts):
            return None
        return _metadata(message.type, metric, *texts)


def _parse(parser: Callable[[bytes], Read], text: bytes) -> Read:
    try:
        return parser(text)
    except DecodeError as error:
        raise Malformed("not a protobuf message of its kind") from error


def _packed(content: bytes) -> bytes:
    length, head = len(content), bytearray(b"\x0a")
    while length >= 0x80:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + content


def _pairs1(labels: Any) -> Pairs:
    # One more than is allowed is enough to refuse.
    return [(label.name, label.value) for label in labels[: Limits.LABELS + 1]]


def _odd(
    message: remote1_pb2.TimeSeries | remote2_pb2.TimeSeries,
    labels: Labels | Refused,
    exemplars: list[Exemplar | Refused],
    metadata: Metadata | Refused | None,
) -> OddSeries:
    samples = message.samples
    times = np.array([sample.timestamp for sample in samples], np.int64)
    bits = np.array([sample.value for sample in samples], np.float64).view(np.uint64)
    histograms = [read_histogram(each) for each in message.histograms]
    counts = (len(samples), len(exemplars), len(histograms))
    return OddSeries(labels, times, bits, exemplars, histograms, metadata, counts)


def _exemplar(message: Any, labels: Labels | Refused) -> Exemplar | Refused:
    if isinstance(labels, Refused):
        return Refused(f"exemplar: {labels.rule}", labels.shown)
    return Exemplar(message.timestamp, message.value, labels)


def _metadata(kind: int, metric: bytes, *texts: bytes) -> Metadata | Refused:
    named = canonical([(b"__name__", metric)])
    if isinstance(named, Refused):
        return Refused(f"metadata: {named.rule}", named.shown)
    if any(len(text) > MAX_TEXT_BYTES or 0 in text for text in texts):
        return Refused("metadata: text too long or with NUL", named[0][1][:200])
    try:
        described = [text.decode() for text in texts]
    except UnicodeDecodeError:
        return Refused("metadata: text not UTF-8", named[0][1][:200])
    known = TYPES[kind] if 0 <= kind < len(TYPES) else TYPES[0]
    return Metadata(named[0][1], known, *described)
