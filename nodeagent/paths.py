"""Where the agent reads: the roots of cgroup, /proc, /sys and /etc, so that it can be pointed at a
recorded machine."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = ["Paths"]


class Paths(NamedTuple):
    """The four roots; everything the agent reads lies under one of them."""

    cgroup: Path = Path("/sys/fs/cgroup")
    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    etc: Path = Path("/etc")

    def read_proc(self, name: str) -> str:
        """Return a file under /proc as text; OSError when it cannot be read."""
        return (self.proc / name).read_text("utf-8", "replace")
