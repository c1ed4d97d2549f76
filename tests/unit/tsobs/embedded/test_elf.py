from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tsobs.embedded.elf import interpreter

LOADER = b"/lib64/ld-linux-x86-64.so.2\0"


def elf(order: str, *, bits: int = 2, kind: int = 3) -> bytes:
    """An ELF file with a second program header of `kind`."""
    ident = b"\x7fELF" + bytes([bits, 1 if order == "<" else 2, 1]) + bytes(9)
    rest = struct.pack(f"{order}HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    first = struct.pack(f"{order}IIQQQQQQ", 6, 4, 0, 0, 0, 0, 0, 8)
    second = struct.pack(f"{order}IIQQQQQQ", kind, 4, 176, 0, 0, len(LOADER), len(LOADER), 1)
    return ident + rest + first + second + LOADER


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_program_names_its_loader(tmp_path: Path, order: str) -> None:
    path = tmp_path / "program"
    path.write_bytes(elf(order))
    assert interpreter(path) == "/lib64/ld-linux-x86-64.so.2"


@pytest.mark.parametrize(
    "content",
    [b"", b"#!/bin/sh\n", b"\x7fELF", elf("<", kind=1), elf("<", bits=1), elf("<")[:100]],
    ids=["empty", "script", "short", "static", "32-bit", "truncated"],
)
def test_anything_else_names_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert interpreter(path) is None
