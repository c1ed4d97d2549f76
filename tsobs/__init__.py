"""tsobs: what every job on a cluster used, and why it ended."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
