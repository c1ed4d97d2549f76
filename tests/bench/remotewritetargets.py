"""Who is measured: tsobs, VictoriaMetrics and Prometheus' receiver, each fresh and on this disk."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import asyncpg

from tests.bench.server import Server, fresh_database
from tests.peerprocess import PeerProcess, fetched, metric_sum
from tests.peers import PEERS
from tests.processes import ServiceProcess

__all__ = ["Target", "prometheus", "tsobs", "victoria_metrics"]

STORED = "select count(*) from tsobs.sample"
# Told by their own counters, which may be a second old.
TOLD_WITHIN_S = 5.0
VM_STORED = r"vm_rows_added_to_storage_total"
PROMETHEUS_STORED = r"prometheus_tsdb_head_samples_appended_total\S*"


class Target(NamedTuple):
    """A receiver that runs: its process, the database server behind it, how many samples it has."""

    name: str
    url: str
    pid: int
    database_pid: int | None
    database_url: str
    stored: Callable[[], int]
    folder: Path

    def check_stored(self, samples: int) -> None:
        """Raises AssertionError unless it has so many, by its own account."""
        deadline = time.monotonic() + TOLD_WITHIN_S
        while (stored := self.stored()) != samples:
            assert time.monotonic() < deadline, f"{self.name} has {stored:,} of {samples:,} samples"
            time.sleep(0.1)


@contextmanager
def tsobs(server: Server, **settings: object) -> Iterator[Target]:
    """`tsobs serve` with its defaults on a new database."""
    with fresh_database(server) as url, ServiceProcess(url, **settings) as service:

        def stored() -> int:
            return asyncio.run(_count(url))

        yield Target("tsobs", service.url, service.pid, server.pid, url, stored, Path())


@contextmanager
def victoria_metrics() -> Iterator[Target]:
    """VictoriaMetrics 1.112 with its defaults."""
    words = ["-storageDataPath={folder}/data", "-httpListenAddr=127.0.0.1:{port}"]
    with _peer("victoria-metrics-1.112", words, "/metrics", VM_STORED) as target:
        yield target


@contextmanager
def prometheus() -> Iterator[Target]:
    """Prometheus 2.42 as a receiver."""
    words = [
        "--config.file={folder}/config.yml", "--storage.tsdb.path={folder}/data",
        "--web.listen-address=127.0.0.1:{port}", "--web.console.templates={folder}",
        "--web.console.libraries={folder}", "--web.enable-remote-write-receiver",
    ]  # fmt: skip
    with _peer("prometheus-2.42", words, "/-/ready", PROMETHEUS_STORED) as target:
        yield target


@contextmanager
def _peer(name: str, words: list[str], ready: str, counter: str) -> Iterator[Target]:
    with tempfile.TemporaryDirectory(prefix="tsobs-bench-") as place:
        folder = Path(place)
        (folder / "config.yml").write_text("{}")
        with PeerProcess(PEERS[name].path(), words, folder, ready=ready) as process:

            def stored() -> int:
                return int(metric_sum(fetched(f"{process.url}/metrics"), counter))

            before = stored()
            yield Target(
                name, process.url, process.pid, None, "", lambda: stored() - before, folder
            )


async def _count(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        count: int = await connection.fetchval(STORED)
        return count
    finally:
        await connection.close()
