from __future__ import annotations

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.remotewrite.unpacking import (
    MAX_PACKED_BYTES,
    MAX_UNPACKED_BYTES,
    declared_bytes,
    unpack,
)
from tests.remotebodies import packed
from tsobs.errors import InvalidRequest


@given(st.binary(max_size=2000))
def test_what_was_packed_comes_out(data: bytes) -> None:
    body = packed(data)
    assert declared_bytes(body) == len(data)
    assert bytes(unpack(body)) == data


@given(st.binary(max_size=200))
def test_anything_else_is_refused_in_words(body: bytes) -> None:
    refusal: InvalidRequest | None = None
    try:
        assert declared_bytes(body) <= MAX_UNPACKED_BYTES
        unpack(body)
    except InvalidRequest as error:
        refusal = error
    assert refusal is None or (refusal.details["field"] == "body" and refusal.details["rule"])


def test_the_largest_fits() -> None:
    largest = bytes(MAX_UNPACKED_BYTES)
    assert declared_bytes(packed(largest)) == MAX_UNPACKED_BYTES
    assert cramjam.snappy.compress_raw_max_len(largest) <= MAX_PACKED_BYTES
    with pytest.raises(InvalidRequest, match="are allowed"):
        declared_bytes(packed(largest + b"x"))


def test_an_empty_body_is_no_snappy() -> None:
    with pytest.raises(InvalidRequest, match="empty"):
        declared_bytes(b"")
