"""The wire format field by field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.remotewrite.decoded import Malformed
from ingest.remotewrite.wire import Field, fields, size, varint
from tests.unit.ingest.remotewrite import bodies


@given(st.integers(0, 2**64 - 1))
def test_a_number_is_read_back(value: int) -> None:
    encoded = bodies.varint(value)
    assert varint(b"x" + encoded + b"y", 1, 99) == (value, 1 + len(encoded))
    with pytest.raises(Malformed):
        varint(encoded, 0, len(encoded) - 1)


def test_numbers_past_64_bits_are_none() -> None:
    assert varint(b"\xff" * 9 + b"\x01", 0, 10) == (2**64 - 1, 10)
    for text in (b"\xff" * 9 + b"\x02", b"\x80" * 10 + b"\x00"):
        with pytest.raises(Malformed):
            varint(text, 0, len(text))


def test_a_length_is_within_what_is_there() -> None:
    assert size(b"\x02ab", 0, 3) == (2, 1)
    assert size(b"\x82\x80\x80\x80\x00ab", 0, 7) == (2, 5)
    for text in (b"\x03ab", b"\x82\x80\x80\x80\x80\x00ab", b"\x80"):
        with pytest.raises(Malformed):
            size(text, 0, len(text))


def test_every_kind_of_field_is_passed_over() -> None:
    body = b"\x08\x96\x01" + b"\x11" + b"8" * 8 + b"\x1a\x02ab" + b"\x25" + b"4" * 4
    body += b"\x2b\x08\x01\x33\x34\x2c"
    assert list(fields(body, 0, len(body))) == [
        Field(1, 0, 1, 3), Field(2, 1, 4, 12), Field(3, 2, 14, 16), Field(4, 5, 17, 21),
        Field(5, 3, 22, 27),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [b"\x00\x01", b"\x0e", b"\x0f", b"\x0c", b"\x0b", b"\x0b\x14", b"\x0d123", b"\x091234567",
     b"\x80\x80\x80\x80\x80\x01", b"\x80\x80\x80\x80\x10\x01", b"\x0b" * 101 + b"\x0c" * 101],
)  # fmt: skip
def test_what_is_no_field_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        list(fields(body, 0, len(body)))


def test_groups_may_be_nested_a_hundred_deep() -> None:
    body = b"\x0b" * 100 + b"\x0c" * 100
    assert list(fields(body, 0, len(body))) == [Field(1, 3, 1, 200)]
