"""Protobuf's wire format, read field by field: exactly what protobuf's own parser takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ingest.remotewrite.decoded import Malformed

__all__ = ["BYTES", "Field", "fields", "size", "varint"]

VARINT, FIXED64, BYTES, GROUP, GROUP_END, FIXED32 = range(6)
_FIRST_TAG = 1 << 3
_MAX_TAG = (1 << 32) - 1
_MAX_SIZE = (1 << 31) - 1
_MAX_DEPTH = 100


class Field(NamedTuple):
    """One field: its number, its wire type, and where its content starts and stops."""

    number: int
    wire: int
    start: int
    stop: int


def varint(body: bytes, at: int, stop: int) -> tuple[int, int]:
    """The unsigned 64-bit number at `at`, and where it ends."""
    value = shift = 0
    for place in range(at, min(stop, at + 10)):
        byte = body[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                break
            return value, place + 1
        shift += 7
    raise Malformed("a number is cut off or too long")


def size(body: bytes, at: int, stop: int) -> tuple[int, int]:
    """The length at `at`, and where its content begins; the content is within `stop`."""
    length, begin = varint(body, at, stop)
    if begin - at > 5 or length > _MAX_SIZE:
        raise Malformed("a length is too long")
    if length > stop - begin:
        raise Malformed("a field is cut off")
    return length, begin


def fields(body: bytes, at: int, stop: int) -> Iterator[Field]:
    """Each field from `at` to `stop`; groups are one field with everything in them."""
    while at < stop:
        field = _field(body, at, stop)
        yield field
        at = field.stop


def _field(body: bytes, at: int, stop: int, depth: int = 0) -> Field:
    # Within a group, protobuf's own parser lets the number 0 pass.
    number, wire, begin = _tag(body, at, stop, 0 if depth else _FIRST_TAG)
    if wire == GROUP:
        return Field(number, wire, begin, _group_end(body, begin, stop, number, depth + 1))
    return Field(number, wire, *_content(body, begin, stop, wire))


def _tag(body: bytes, at: int, stop: int, least: int) -> tuple[int, int, int]:
    tag, begin = varint(body, at, stop)
    if begin - at > 5 or not least <= tag <= _MAX_TAG:
        raise Malformed("a field's tag is wrong")
    return tag >> 3, tag & 7, begin


def _content(body: bytes, begin: int, stop: int, wire: int) -> tuple[int, int]:
    if wire == VARINT:
        return begin, varint(body, begin, stop)[1]
    if wire == BYTES:
        length, begin = size(body, begin, stop)
        return begin, begin + length
    if wire not in (FIXED64, FIXED32):
        raise Malformed("a field's wire type is wrong")
    end = begin + (8 if wire == FIXED64 else 4)
    if end > stop:
        raise Malformed("a field is cut off")
    return begin, end


def _group_end(body: bytes, at: int, stop: int, number: int, depth: int) -> int:
    """Behind the group's end tag."""
    if depth > _MAX_DEPTH:
        raise Malformed("groups are nested too deep")
    while at < stop:
        inner, wire, begin = _tag(body, at, stop, 0)
        if wire == GROUP_END:
            if inner != number:
                break
            return begin
        at = _field(body, at, stop, depth).stop
    raise Malformed("a group does not end")
