"""Just enough of the ELF format to know which files are programs."""

from __future__ import annotations

import struct
from pathlib import Path

__all__ = ["interpreter"]

PT_INTERP = 3
HEADER_BYTES = 64


def interpreter(path: Path) -> str | None:
    """The program interpreter that a 64-bit ELF file names, or None for any other file."""
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
        if len(header) < HEADER_BYTES or header[:5] != b"\x7fELF\x02":
            return None
        order = "<" if header[5] == 1 else ">"
        (table_at,) = struct.unpack_from(f"{order}Q", header, 32)
        entry_bytes, entries = struct.unpack_from(f"{order}HH", header, 54)
        file.seek(table_at)
        table = file.read(entry_bytes * entries)
        for start in range(0, len(table) - entry_bytes + 1, entry_bytes):
            (kind,) = struct.unpack_from(f"{order}I", table, start)
            if kind == PT_INTERP:
                offset, _, _, size = struct.unpack_from(f"{order}4Q", table, start + 8)
                file.seek(offset)
                return file.read(size).rstrip(b"\0").decode()
    return None
