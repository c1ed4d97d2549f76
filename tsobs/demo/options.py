"""What was asked for on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The demo's options; `None` for nodes, seed and hours means as before, or the defaults."""

    host: str = "127.0.0.1"
    port: int = 8080
    insecure: bool = False
    duration_s: float | None = None
    nodes: int | None = None
    seed: int | None = None
    history_hours: float | None = None
    agent: bool = True
    fresh: bool = False
    data_dir: Path | None = None
    bin_dir: Path | None = None
