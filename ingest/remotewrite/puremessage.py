"""One TimeSeries message read by pure Python: what the fast path takes, or None for the slow."""

from __future__ import annotations

from typing import NamedTuple

from ingest.remotewrite.decoded import Limits, Malformed
from ingest.remotewrite.wire import size, varint

__all__ = ["Message", "Metadata", "metadata2", "read1", "read2", "references"]

Sample = tuple[int, int]


class Message(NamedTuple):
    """A message's labels (a region of the body), samples (ms, bits), and 2.0 metadata's place."""

    start: int
    stop: int
    samples: list[Sample]
    metadata: tuple[int, int] | None = None


class Metadata(NamedTuple):
    """A 2.0 metadata's type and the indexes of its help and unit."""

    type: int
    help: int
    unit: int


def read1(body: bytes, start: int, stop: int) -> Message | None:
    """A 1.0 TimeSeries: labels, then samples, and nothing else."""
    try:
        at = start
        while at < stop and body[at] == 0x0A:
            length, begin = size(body, at + 1, stop)
            at = begin + length
        labels_stop = at
        samples: list[Sample] = []
        while at < stop:
            if body[at] != 0x12:
                return None
            at = _sample(body, at, stop, 1, samples)
    except (Malformed, _Odd):
        return None
    return Message(start, labels_stop, samples) if samples else None


def read2(body: bytes, start: int, stop: int) -> Message | None:
    """A 2.0 TimeSeries: label references, then samples and at most one metadata."""
    try:
        if start == stop or body[start] != 0x0A:
            return None
        length, refs_start = size(body, start + 1, stop)
        at = refs_stop = refs_start + length
        samples: list[Sample] = []
        metadata = None
        while at < stop:
            if body[at] == 0x12:
                at = _sample(body, at, stop, 2, samples)
            elif body[at] == 0x2A and metadata is None:
                length, begin = size(body, at + 1, stop)
                at = begin + length
                metadata = (begin, at)
            else:
                return None
    except (Malformed, _Odd):
        return None
    return Message(refs_start, refs_stop, samples, metadata) if samples else None


def references(body: bytes, start: int, stop: int, symbols: int) -> list[int] | None:
    """Packed references, an even number of them, each within the symbols."""
    if stop - start > Limits.MESSAGE_BYTES:
        return None
    content = body[start:stop]
    if content.isascii():
        found = list(content)
    else:
        found = []
        try:
            while start < stop:
                value, end = varint(body, start, stop)
                if end - start > 5:
                    return None
                found.append(value)
                start = end
        except Malformed:
            return None
    if len(found) % 2 or (found and max(found) >= symbols):
        return None
    return found


def metadata2(body: bytes, start: int, stop: int, symbols: int) -> Metadata | None:
    """The metadata message of a 2.0 TimeSeries."""
    values = {0x08: 0, 0x18: 0, 0x20: 0}
    try:
        while start < stop:
            tag = body[start]
            if tag not in values:
                return None
            values[tag], end = varint(body, start + 1, stop)
            if end - start > 6 or values[tag] >> 32:
                return None
            start = end
    except Malformed:
        return None
    found = Metadata(*values.values())
    return found if max(found.help, found.unit) < symbols else None


class _Odd(Exception):
    """Not the fast path's."""


def _sample(body: bytes, at: int, stop: int, version: int, samples: list[Sample]) -> int:
    """Reads the sample whose tag is at `at`, and says where it ends."""
    length, at = size(body, at + 1, stop)
    stop = at + length
    time = bits = 0
    while at < stop:
        tag = body[at]
        if tag == 0x09 and stop - at >= 9:
            bits = int.from_bytes(body[at + 1 : at + 9], "little")
            at += 9
        elif tag == 0x10:
            time, at = varint(body, at + 1, stop)
        elif tag == 0x18 and version == 2:
            _, at = varint(body, at + 1, stop)
        else:
            raise _Odd
    samples.append((time - (1 << 64) if time >> 63 else time, bits))
    return stop
