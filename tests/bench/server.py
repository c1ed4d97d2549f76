"""A throw-away database server for benchmarks: durable, with the embedded database's own tuning."""

from __future__ import annotations

import asyncio
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import asyncpg

from tsobs.embedded.cluster import Cluster
from tsobs.migrate import migrate

__all__ = ["Server", "fresh_database", "running_server"]


class Server(NamedTuple):
    """Its DSN, the postmaster's pid, and what it is."""

    cluster: Cluster
    pid: int
    title: str


@contextmanager
def running_server() -> Iterator[Server]:
    """A server from TSOBS_TEST_PG_BIN, else the embedded one; removed at the end."""
    given = os.environ.get("TSOBS_TEST_PG_BIN")
    with tempfile.TemporaryDirectory(prefix="tsobs-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server's account must get in
        cluster = Cluster(folder, Path(given) if given else None)
        cluster.start()
        try:
            pid = cluster.status().pid
            assert pid is not None
            yield Server(cluster, pid, str(cluster.server))
        finally:
            cluster.stop()


@contextmanager
def fresh_database(server: Server) -> Iterator[str]:
    """A migrated database; dropped at the end, so that every measurement starts alike."""
    name = f"bench_{uuid.uuid4().hex[:8]}"
    asyncio.run(_run(server.cluster.url("postgres"), f"create database {name}"))
    url = server.cluster.url(name)
    asyncio.run(migrate(url))
    asyncio.run(_run(url, "checkpoint"))
    try:
        yield url
    finally:
        asyncio.run(_run(server.cluster.url("postgres"), f"drop database {name} with (force)"))


async def _run(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()
