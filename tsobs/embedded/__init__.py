"""A private PostgreSQL with TimescaleDB: no Docker, no root, no change to the system."""

from __future__ import annotations

from tsobs.embedded.cluster import Cluster, Status, ensure_running
from tsobs.embedded.debian import fetch
from tsobs.embedded.server import Server, find_server

__all__ = ["Cluster", "Server", "Status", "ensure_running", "fetch", "find_server"]
