"""Label sets as the kernels read them: what they take is what the slow path would say."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.remotewrite import purekernel, purelabels
from ingest.remotewrite.labels import Refused, canonical
from tests.unit.ingest.remotewrite.bodies import body2, field, label, pairs, refs, series1
from tests.unit.ingest.remotewrite.oracle import KERNELS

EACH = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.__name__)
UP = (b"__name__", b"up")


def places(symbols: list[bytes]) -> tuple[bytes, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    body = body2(symbols, [])
    stops = np.cumsum([len(field(4, each)) for each in symbols])
    starts = stops - [len(each) for each in symbols]
    return body, np.stack([starts, stops], axis=1).reshape(-1).astype(np.int64)


@EACH
@given(found=pairs)
def test_what_is_taken_is_canonical(kernel: ModuleType, found: list[tuple[bytes, bytes]]) -> None:
    expected = canonical(found)
    region = b"head" + series1(found, [])
    symbols, at = places([text for pair in found for text in pair])
    numbers = refs(range(2 * len(found)))
    for taken in (
        kernel.read_labels(region + b"tail", 4, len(region), None),
        kernel.read_labels(symbols + numbers, len(symbols), len(symbols + numbers), at),
    ):
        if isinstance(expected, Refused) or kernel is purekernel:
            assert taken is None
        else:
            assert taken == expected


@EACH
@pytest.mark.parametrize(
    "region",
    [field(1, label(*UP)) + b"\x0a\x05", field(1, label(*UP) + field(3, 1)), b"\x12\x00",
     field(1, label(*UP)) + field(1, b"\x0a\x05"), b"\x0a", b""],
)  # fmt: skip
def test_what_is_not_plain_is_left(kernel: ModuleType, region: bytes) -> None:
    assert kernel.read_labels(region, 0, len(region), None) is None


@EACH
def test_references_are_checked_again(kernel: ModuleType) -> None:
    symbols, at = places([b"__name__", b"up"])
    for numbers, column in (
        (refs([0]), at), (refs([0, 2]), at), (b"\x00\x81", at), (refs([0, 1]), at + 1000),
        (refs([0, 1]), -at), (refs([0, 1]), at[::-1].copy()), (refs([0, 1]), at[:3]),
    ):  # fmt: skip
        body = symbols + numbers
        assert kernel.read_labels(body, len(symbols), len(body), column) is None
    for start, stop in ((-1, 2), (3, 2), (0, 10**9)):
        assert kernel.read_labels(symbols, start, stop, None) is None


@EACH
@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=4).map(tuple))
def test_the_identitys_text(kernel: ModuleType, labels: purelabels.Labels) -> None:
    text = kernel.identity_text(labels)
    assert text == purelabels.identity_text(labels)
    found = []
    while text:
        length = int.from_bytes(text[:4], "big")
        found.append(text[4 : 4 + length].decode())
        text = text[4 + length :]
    assert found == [each for pair in labels for each in pair]


@EACH
def test_a_text_without_utf8_has_no_identity(kernel: ModuleType) -> None:
    with pytest.raises(UnicodeEncodeError):
        kernel.identity_text((("a", "\ud800"),))
