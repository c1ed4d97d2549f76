"""What a benchmark run found: lines for people as it goes, and a file for programs."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["Told"]


class Told:
    """Figures in the order in which they were found."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._figures: list[dict[str, Any]] = []
        self._began = time.monotonic()

    def say(self, line: str) -> None:
        """A line of the result."""
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def doing(self, what: str) -> None:
        """What is being done now, on standard error."""
        sys.stderr.write(f"[{time.monotonic() - self._began:6.0f} s] {what} …\n")
        sys.stderr.flush()

    def keep(self, **figure: Any) -> None:
        """A figure for the file, which is whole after each of them."""
        self._figures.append(figure)
        if self._path:
            self._path.write_text(json.dumps(self._figures, indent=1) + "\n", encoding="utf-8")
