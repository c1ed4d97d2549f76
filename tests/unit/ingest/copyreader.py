"""PostgreSQL's binary COPY format read back, slowly and plainly, from its description."""

from __future__ import annotations

import struct

__all__ = ["Field", "float8", "int4", "int8", "read_copy", "unix_s"]

SIGNATURE = b"PGCOPY\n\xff\r\n\x00"

Field = bytes | None


def read_copy(data: bytes) -> list[list[Field]]:
    """The fields of each row; fails on anything that the server would refuse."""
    assert data.startswith(SIGNATURE)
    flags, extension = struct.unpack_from(">ii", data, len(SIGNATURE))
    assert (flags, extension) == (0, 0)
    at = len(SIGNATURE) + 8
    rows: list[list[Field]] = []
    while True:
        (count,) = struct.unpack_from(">h", data, at)
        at += 2
        if count == -1:
            assert at == len(data)
            return rows
        fields: list[Field] = []
        for _ in range(count):
            (length,) = struct.unpack_from(">i", data, at)
            at += 4
            assert length >= -1
            fields.append(None if length < 0 else data[at : at + length])
            at += max(length, 0)
        rows.append(fields)


def int4(field: Field) -> int | None:
    """An int4."""
    return None if field is None else int(struct.unpack(">i", field)[0])


def int8(field: Field) -> int | None:
    """An int8, and a timestamptz as it is stored."""
    return None if field is None else int(struct.unpack(">q", field)[0])


def float8(field: Field) -> float | None:
    """A float8."""
    return None if field is None else float(struct.unpack(">d", field)[0])


def unix_s(field: Field) -> float | None:
    """A timestamptz as unix seconds."""
    return None if field is None else (int8(field) or 0) / 1e6 + 946_684_800
