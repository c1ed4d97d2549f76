"""Finds `sql/` and reads named statements from it: the only code that opens SQL files."""

from __future__ import annotations

import functools
import re
from pathlib import Path

__all__ = ["queries", "query", "sql_root"]

_HEADER = re.compile(r"^-- name: (?P<name>[a-z0-9_]+)$", re.MULTILINE)


def sql_root() -> Path:
    """The folder of SQL: packed into the wheel, or beside the package in a checkout."""
    package = Path(__file__).resolve().parent
    packed = package / "sql"
    return packed if packed.is_dir() else package.parent / "sql"


def parse(text: str) -> dict[str, str]:
    """Statements of one file by name; each begins at its `-- name:` line."""
    parts = _HEADER.split(text)
    names, bodies = parts[1::2], parts[2::2]
    found: dict[str, str] = {}
    for name, body in zip(names, bodies, strict=True):
        if name in found:
            raise ValueError(f"two statements are named {name}")
        found[name] = body.strip()
    return found


@functools.cache
def queries() -> dict[str, str]:
    """Every named statement under `sql/queries`."""
    found: dict[str, str] = {}
    for path in sorted((sql_root() / "queries").glob("*.sql")):
        for name, text in parse(path.read_text()).items():
            if name in found:
                raise ValueError(f"{path.name}: another file has a statement named {name}")
            found[name] = text
    return found


def query(name: str) -> str:
    """The text of one named statement."""
    return queries()[name]
