"""The node agent: reads cgroups and the node, and posts numbered batches. Standard library only."""

from __future__ import annotations

__version__ = "0.1.0"
