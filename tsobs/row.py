"""What is read from the database, as those see it that make answers of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

__all__ = ["Row"]


class Row(Protocol):
    """Values by column name: a database record, or a dict."""

    def __getitem__(self, column: str, /) -> Any: ...

    def keys(self) -> Iterable[str]:
        """The column names."""
        ...
