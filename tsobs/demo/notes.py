"""Small JSON files that are replaced as a whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tsobs.errors import SetupError

__all__ = ["read_note", "write_note"]


def read_note(path: Path) -> dict[str, Any] | None:
    """What was written last, None when nothing was; raises SetupError when it is damaged."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        note = json.loads(text)
    except ValueError:
        note = None
    if not isinstance(note, dict):
        raise SetupError(f"{path} is damaged: begin anew with tsobs demo --fresh")
    return note


def write_note(path: Path, note: dict[str, Any]) -> None:
    """Replaces the file, and returns when it is on the disk."""
    draft = path.with_suffix(".new")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        json.dump(note, file, separators=(",", ":"))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
