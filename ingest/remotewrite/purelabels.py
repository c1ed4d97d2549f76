"""What a kernel does for label sets, without a compiler: the text of an identity."""

from __future__ import annotations

from ingest.remotewrite.decoded import Ints

__all__ = ["Labels", "identity_text", "read_labels"]

# Sorted by the names' UTF-8 bytes, no empty values.
Labels = tuple[tuple[str, str], ...]


def identity_text(labels: Labels) -> bytes:
    """Of each name and value its length (4 bytes, big-endian) and its UTF-8 bytes."""
    parts: list[bytes] = []
    for pair in labels:
        for text in pair:
            encoded = text.encode()
            parts += (len(encoded).to_bytes(4, "big"), encoded)
    return b"".join(parts)


def read_labels(
    body: bytes | bytearray | memoryview, start: int, stop: int, symbols: Ints | None
) -> Labels | None:
    """The canonical set of a region (1.0, or 2.0 with the places of its symbols), where that takes
    no judgement; this kernel leaves all to the slow path."""
    return None
