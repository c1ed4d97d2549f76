"""Snappy's block format within bounds: what a body says it unpacks to is checked before it is."""

from __future__ import annotations

from typing import Final

import cramjam

from tsobs.errors import InvalidRequest

__all__ = ["MAX_PACKED_BYTES", "MAX_UNPACKED_BYTES", "declared_bytes", "unpack"]

# As in Prometheus' own receiver.
MAX_UNPACKED_BYTES: Final = 32 << 20
# What snappy makes of so much that cannot be packed.
MAX_PACKED_BYTES: Final = 32 + MAX_UNPACKED_BYTES + MAX_UNPACKED_BYTES // 6


def declared_bytes(body: bytes) -> int:
    """What the body says it unpacks to; raises InvalidRequest for more than MAX_UNPACKED_BYTES, and
    for what is not snappy."""
    if not body:
        raise _corrupt("the body is empty")
    try:
        size: int = cramjam.snappy.decompress_raw_len(body)
    except cramjam.DecompressionError as error:
        raise _corrupt(str(error)) from None
    if size > MAX_UNPACKED_BYTES:
        raise InvalidRequest(
            f"the body unpacks to {size} bytes and {MAX_UNPACKED_BYTES} are allowed",
            field="body",
            rule=f"at most {MAX_UNPACKED_BYTES} bytes unpacked",
        )
    return size


def unpack(body: bytes) -> memoryview:
    """The bytes inside; raises InvalidRequest. Of bounded size only after `declared_bytes`."""
    try:
        return memoryview(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as error:
        raise _corrupt(str(error)) from None


def _corrupt(why: str) -> InvalidRequest:
    return InvalidRequest(
        f"the body cannot be unpacked: {why}", field="body", rule="one block of snappy"
    )
