"""Remote-write bodies for tests, made by protobuf's own library: 1.0 and 2.0, good and odd."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cramjam

from ingest.remotewrite import remote1_pb2, remote2_pb2

__all__ = ["STALE", "V2Body", "headers", "now_ms", "packed", "series", "v1_body"]

STALE = struct.unpack("<d", (0x7FF0000000000002).to_bytes(8, "little"))[0]

_TYPES = {
    1: "application/x-protobuf",
    2: "application/x-protobuf;proto=io.prometheus.write.v2.Request",
}

Pairs = Iterable[tuple[str | bytes, str | bytes]]
Sample = tuple[int, float]  # unix ms, value


def headers(version: int) -> dict[str, str]:
    """What a sender of a version sends along."""
    return {
        "Content-Type": _TYPES[version],
        "Content-Encoding": "snappy",
        "X-Prometheus-Remote-Write-Version": {1: "0.1.0", 2: "2.0.0"}[version],
        "User-Agent": "tests/1",
    }


def packed(message: bytes) -> bytes:
    """In snappy's block format."""
    return bytes(cramjam.snappy.compress_raw(message))


def series(
    labels: Mapping[str, str] | Pairs, *samples: Sample, exemplars: Sequence[Any] = ()
) -> remote1_pb2.TimeSeries:
    """One TimeSeries of 1.0; labels in the order given, exemplars as (pairs, value, ms)."""
    made = remote1_pb2.TimeSeries()
    for name, value in labels.items() if isinstance(labels, Mapping) else labels:
        made.labels.add(name=_bytes(name), value=_bytes(value))
    for time_ms, value in samples or ((now_ms(), 1.0),):
        made.samples.add(timestamp=time_ms, value=value)
    for pairs, value, time_ms in exemplars:
        exemplar = made.exemplars.add(value=value, timestamp=time_ms)
        for name, text in pairs:
            exemplar.labels.add(name=_bytes(name), value=_bytes(text))
    return made


def v1_body(
    *several: remote1_pb2.TimeSeries, metadata: Sequence[tuple[int, str, str, str]] = ()
) -> bytes:
    """A body of 1.0, packed; metadata as (type, metric, help, unit)."""
    request = remote1_pb2.WriteRequest(timeseries=several)
    for kind, metric, help, unit in metadata:
        request.metadata.add(
            type=kind, metric_family_name=_bytes(metric), help=_bytes(help), unit=_bytes(unit)
        )
    return packed(request.SerializeToString())


class V2Body:
    """Builds a body of 2.0 with its table of symbols."""

    def __init__(self) -> None:
        self.request = remote2_pb2.Request(symbols=[b""])
        self._refs: dict[bytes, int] = {b"": 0}

    def ref(self, text: str | bytes) -> int:
        """The symbol's number."""
        data = _bytes(text)
        if data not in self._refs:
            self._refs[data] = len(self.request.symbols)
            self.request.symbols.append(data)
        return self._refs[data]

    def add(
        self,
        labels: Mapping[str, str] | Pairs,
        *samples: Sample,
        histograms: Sequence[remote2_pb2.Histogram] = (),
        exemplars: Sequence[tuple[Pairs, float, int]] = (),
        metadata: tuple[int, str, str] | None = None,
        created_ms: int | None = None,
    ) -> V2Body:
        """One TimeSeries; metadata as (type, help, unit), `created_ms` as senders of old drafts."""
        pairs = labels.items() if isinstance(labels, Mapping) else labels
        made = self.request.timeseries.add(
            labels_refs=[self.ref(text) for pair in pairs for text in pair], histograms=histograms
        )
        for time_ms, value in samples:
            made.samples.add(timestamp=time_ms, value=value)
        for exemplar_pairs, value, time_ms in exemplars:
            refs = [self.ref(text) for pair in exemplar_pairs for text in pair]
            made.exemplars.add(labels_refs=refs, value=value, timestamp=time_ms)
        if metadata is not None:
            kind, help, unit = metadata
            made.metadata.type = kind
            made.metadata.help_ref, made.metadata.unit_ref = self.ref(help), self.ref(unit)
        if created_ms is not None:
            # Field 6, which the schema has no more.
            made.MergeFromString(b"\x30" + _varint(created_ms))
        return self

    def packed(self) -> bytes:
        """The body."""
        return packed(self.request.SerializeToString())


def now_ms() -> int:
    """The clock, in whole milliseconds."""
    return int(time.time() * 1000)


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
