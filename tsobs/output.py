"""The command line's only way to print: results to standard output, talk to standard error."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["complain", "say", "table"]


def say(text: str) -> None:
    """One result on standard output, at once even when that is a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """One message for a person on standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows under their heads, in columns as wide as needed."""
    lines = [heads, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
