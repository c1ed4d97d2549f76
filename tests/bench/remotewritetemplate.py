"""A remote-write 1.0 request whose labels stay and whose times and values are set in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import cramjam
import numpy as np
import numpy.typing as npt

__all__ = ["Template"]

Ints: TypeAlias = npt.NDArray[np.int64]
Labels: TypeAlias = Sequence[tuple[str, str]]

TIME_BYTES = 6  # what all milliseconds of 1971 to 2109 take as a varint


class Template:
    """One TimeSeries for each label set, with so many samples; a zero leaves its value out."""

    def __init__(self, series: Sequence[Labels], is_zero: Sequence[bool], per_series: int) -> None:
        pieces: list[bytes] = []
        time_at: list[int] = []
        value_at: list[int] = []
        at = 0
        for labels, zero in zip(series, is_zero, strict=True):
            record = b"\x12\x07\x10" if zero else b"\x12\x10\x09" + bytes(8) + b"\x10"
            region = _label_bytes(labels)
            size = len(region) + per_series * (len(record) + TIME_BYTES)
            head = b"\x0a" + _varint(size) + region
            pieces += [head, (record + bytes(TIME_BYTES)) * per_series]
            at += len(head)
            for _ in range(per_series):
                value_at += [] if zero else [at + 3]
                at += len(record)
                time_at.append(at)
                at += TIME_BYTES
        self._raw = np.frombuffer(b"".join(pieces), np.uint8)
        self._time_at = np.array(time_at, np.int64)[:, None] + np.arange(TIME_BYTES)
        self._value_at = np.array(value_at, np.int64)[:, None] + np.arange(8)
        self._has_value = ~np.repeat(np.array(is_zero, np.bool_), per_series)

    def request(self, time_ms: Ints, values: npt.NDArray[np.float64]) -> bytes:
        """The whole HTTP request with these samples, in the order of the series."""
        raw = self._raw.copy()
        raw[self._time_at] = _varints(time_ms)
        shown = values[self._has_value].astype("<f8")
        raw[self._value_at] = shown.view(np.uint8).reshape(-1, 8)
        body = bytes(cramjam.snappy.compress_raw(raw.tobytes()))
        head = (
            "POST /api/v1/write HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: tsobs-bench\r\n"
            "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n"
            f"X-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def _varints(values: Ints) -> npt.NDArray[np.uint8]:
    septets = (values[:, None] >> (7 * np.arange(TIME_BYTES))) & 0x7F
    septets[:, :-1] |= 0x80
    return septets.astype(np.uint8)


def _label_bytes(labels: Labels) -> bytes:
    pieces = []
    for name, value in labels:
        n, v = name.encode(), value.encode()
        inner = b"\x0a" + _varint(len(n)) + n + b"\x12" + _varint(len(v)) + v
        pieces.append(b"\x0a" + _varint(len(inner)) + inner)
    return b"".join(pieces)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
