"""One message: what has the common shape, and what has not."""

from __future__ import annotations

import pytest

from ingest.remotewrite.decoded import Limits
from ingest.remotewrite.puremessage import Message, Metadata, metadata2, read1, read2, references
from tests.unit.ingest.remotewrite.bodies import (
    NOW_MS,
    field,
    refs,
    sample,
    series1,
    series2,
    varint,
)
from tests.unit.ingest.remotewrite.bodies import metadata2 as metadata_field

UP = [(b"__name__", b"up")]


def whole1(message: bytes) -> Message | None:
    return read1(b"head" + message + b"\x12\x00tail", 4, 4 + len(message))


def whole2(message: bytes) -> Message | None:
    return read2(b"head" + message + b"\x12\x00tail", 4, 4 + len(message))


def test_labels_then_samples() -> None:
    message = series1(UP, [(NOW_MS, 5), (-1, 0), (0, 0)])
    labels = len(series1(UP, []))
    assert whole1(message) == Message(4, 4 + labels, [(NOW_MS, 5), (-1, 0), (0, 0)])


@pytest.mark.parametrize(
    "rest",
    [field(3, b""), field(4, b""), field(1, b""), field(9, 1), b"\x12", b"\x12\x02\x10",
     b"\x10\x01", field(2, b"\x09123"), field(2, b"\x18\x01"), b"\x8a\x00\x00",
     field(2, b"\x10" + b"\xff" * 10)],
)  # fmt: skip
def test_anything_else_is_left_to_the_slow_path(rest: bytes) -> None:
    assert whole1(series1(UP, [(NOW_MS, 5)]) + rest) is None


def test_without_samples_it_is_odd() -> None:
    assert whole1(series1(UP, [])) is None
    assert whole2(series2([1, 2], [])) is None
    assert whole2(b"") is None


def test_a_message_of_2_0_may_have_metadata_and_start_times() -> None:
    metadata = metadata_field(1, 2, 3)
    start = field(2, sample(NOW_MS, 5) + field(3, NOW_MS - 1))
    found = whole2(field(1, refs([1, 2])) + start + metadata)
    assert found is not None
    assert found.samples == [(NOW_MS, 5)]
    assert (found.start, found.stop) == (6, 8)
    assert found.metadata is not None
    assert found.metadata[1] - found.metadata[0] == len(metadata) - 2


@pytest.mark.parametrize("rest", [metadata_field(1, 0, 0) * 2, field(1, b""), field(6, 1)])
def test_more_than_that_is_odd(rest: bytes) -> None:
    assert whole2(series2([1, 2], [(NOW_MS, 5)]) + rest) is None


def test_references_are_even_and_within_the_symbols() -> None:
    def read(content: bytes, symbols: int = 300) -> list[int] | None:
        return references(b"xy" + content + b"\x01", 2, 2 + len(content), symbols)

    assert read(refs([1, 2, 299, 0])) == [1, 2, 299, 0]
    assert read(b"\x81\x00\x02") == [1, 2]
    for content in (refs([1]), refs([1, 300]), b"\x01\x80", varint(1, 6) + b"\x01"):
        assert read(content) is None
    assert read(b"\x00" * (Limits.MESSAGE_BYTES + 2)) is None


def test_metadata_refer_to_symbols() -> None:
    def read(content: bytes) -> Metadata | None:
        return metadata2(content, 0, len(content), 5)

    assert read(b"\x08\x02\x18\x04\x20\x03") == Metadata(2, 4, 3)
    assert read(b"") == Metadata(0, 0, 0)
    assert read(b"\x18\x01\x18\x02") == Metadata(0, 2, 0)
    for content in (b"\x18\x05", b"\x20\x05", b"\x12\x00", b"\x08", b"\x08" + varint(1 << 32)):
        assert read(content) is None
