"""The demo's own embedded database."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from tsobs.demo.folder import Folder
from tsobs.demo.options import Options
from tsobs.demo.progress import Progress
from tsobs.demo.signals import Signals
from tsobs.embedded import Cluster

__all__ = ["Database", "running_database"]

_LOOK_EVERY_S = 1.0


class Database:
    """A running database server."""

    name = "database"

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    @property
    def url(self) -> str:
        """Its DSN, password included."""
        return self._cluster.url()

    async def ended(self) -> str:
        """Returns when the server is gone."""
        while True:
            status = await asyncio.to_thread(self._cluster.status)
            if not status.running:
                return f"its server is gone; see {self._cluster.folder / 'log'}"
            await asyncio.sleep(_LOOK_EVERY_S)


@contextmanager
def running_database(
    folder: Folder, options: Options, progress: Progress, signals: Signals
) -> Iterator[Database]:
    """Starts what is there, or makes it first; stops it at the end. Raises SetupError."""
    cluster = Cluster(folder.path, options.bin_dir, progress=progress)
    if options.fresh:
        cluster.stop()
        folder.clear()
    try:
        cluster.start()
        progress(f"database: {cluster.server}")
        yield Database(cluster)
    finally:
        signals.ignore()
        cluster.stop()
