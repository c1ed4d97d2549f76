from __future__ import annotations

import asyncio
import dataclasses
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.fix_db import TestServer, kill, quick_place
from tsobs.demo.database import running_database
from tsobs.demo.folder import Folder
from tsobs.demo.options import Options
from tsobs.demo.progress import Progress
from tsobs.demo.signals import Signals
from tsobs.embedded import Cluster

QUIET = Progress(lambda _line: None)


@pytest.fixture
def folder() -> Iterator[Folder]:
    """A folder that the server's account may enter."""
    path = Path(tempfile.mkdtemp(prefix="tsobs-demo-", dir=quick_place()))
    path.chmod(0o755)
    yield Folder(path)
    Cluster(path).stop()
    shutil.rmtree(path)


def test_it_runs_until_it_is_left_and_keeps_what_it_has(folder: Folder, server: TestServer) -> None:
    options = Options(bin_dir=server.cluster.server.bin_dir)
    progress = QUIET

    async def execute(url: str, sql: str) -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(sql)
        await connection.close()

    with running_database(folder, options, progress, Signals()) as database:
        asyncio.run(execute(database.url, "create table kept ()"))
    assert not Cluster(folder.path).status().running
    signals = Signals()
    with running_database(folder, options, progress, signals) as database:
        asyncio.run(execute(database.url, "select from kept"))
        ended = _ended(database.ended, folder)
        assert "its server is gone" in ended
    fresh = dataclasses.replace(options, fresh=True)
    with running_database(folder, fresh, progress, Signals()) as database:
        asyncio.run(execute(database.url, "create table kept ()"))


def _ended(ended: object, folder: Folder) -> str:
    async def wait() -> str:
        watching = asyncio.create_task(ended())  # type: ignore[operator]
        await asyncio.sleep(0.1)
        await asyncio.to_thread(kill, Cluster(folder.path))
        return str(await asyncio.wait_for(watching, 10))

    return asyncio.run(wait())
