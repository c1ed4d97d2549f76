"""Fixtures: one database server a test run, and databases cloned from a migrated template.

`server`              the running server: `cluster`, `edition`, `create`, `drop`, `url`
`template`            the name of a database with tsobs' schema that nobody is connected to
`database_url`        DSN of a fresh clone of it, for one test
`empty_database_url`  DSN of a fresh database without any schema, for one test
`private_cluster`     a running, durable `Cluster` of the test's own, to be stopped or killed
`edition`             'apache' or 'community'

TSOBS_TEST_PG_BIN names the folder of the server's programs; without it those of the embedded
database are taken, and fetched when they are not there yet. Workers of one run share the server.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Coroutine, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tsobs.embedded import Cluster, Server, find_server
from tsobs.embedded.locks import exclusive
from tsobs.embedded.postmaster import wait_until
from tsobs.embedded.process import silent
from tsobs.embedded.server import find_local

__all__ = ["TestServer", "kill", "quick_place"]

FOLDER = pytest.StashKey[Path]()
PREFIX = "tsobs-test-"
TEMPLATE = "tsobs_template"
# Many small databases and pools, none of which matters tomorrow.
SETTINGS = {"max_connections": "300", "shared_buffers": "256MB", "max_wal_size": "512MB"}
# In memory a database is cloned in 0.02 s, on a busy disk in 0.3 s.
MEMORY = Path("/dev/shm")
MEMORY_FREE_BYTES = 4 << 30


class TestServer:
    """The server of this run, with a connection to make and drop databases."""

    __test__ = False

    def __init__(self, cluster: Cluster, worker: str) -> None:
        self.cluster = cluster
        self.edition = cluster.server.edition
        self._worker = worker
        self._numbers = count(1)
        # A loop of our own that is never the current one, so that it meets no test's loop.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._admin = self._run(asyncpg.connect(cluster.url("postgres")))

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(coroutine)

    def url(self, database: str) -> str:
        """The superuser's DSN of a database."""
        return self.cluster.url(database)

    def create(self, template: str = "template0") -> str:
        """Make a database under a name that no other worker uses."""
        name = f"test_{self._worker}_{next(self._numbers)}"
        # Copying files beats writing every page to the log.
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        return name

    def drop(self, name: str) -> None:
        """Drop it, whoever is still connected."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def execute(self, sql: str) -> None:
        """Run a statement on the maintenance database."""
        self._run(self._admin.execute(sql))

    def make_template(self) -> None:
        """The migrated database, by whichever worker comes first."""
        done = self.cluster.folder / "template.done"
        lock = self.cluster.folder / "template.lock"
        with exclusive(lock, doing="migrating the template", progress=silent, wait_s=120):
            if not done.exists():
                self.execute(f'DROP DATABASE IF EXISTS "{TEMPLATE}" WITH (FORCE)')
                self.execute(f'CREATE DATABASE "{TEMPLATE}" TEMPLATE template0')
                self._run(_fill_template(self.url(TEMPLATE)))
                # The extension's scheduler connects to any database that lets it.
                self.execute(f'ALTER DATABASE "{TEMPLATE}" ALLOW_CONNECTIONS false')
                self.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    f" WHERE datname = '{TEMPLATE}'"
                )
                done.touch()

    def close(self) -> None:
        """End the connection; the server ends with the run."""
        self._run(self._admin.close())
        self._runner.close()


def kill(cluster: Cluster) -> None:
    """Kill a cluster's server with SIGKILL and wait until it is gone."""
    pid = cluster.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not cluster.status().running, 5)


async def _fill_template(url: str) -> None:
    from tsobs.migrate import migrate

    await migrate(url)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SELECT _timescaledb_functions.stop_background_workers()")
    finally:
        await connection.close()


def _bin_dir() -> Path | None:
    given = os.environ.get("TSOBS_TEST_PG_BIN")
    return Path(given) if given else None


def _known_server() -> Server | None:
    given = _bin_dir()
    return find_server(given) if given else find_local()


def pytest_configure(config: pytest.Config) -> None:
    """The folder of this run's server; its workers are told."""
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        config.stash[FOLDER] = Path(worker["tsobs_folder"])
        return
    place = quick_place()
    for path in place.glob(f"{PREFIX}*"):
        _sweep(path)
    config.stash[FOLDER] = _new_folder(place)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker where the server is."""
    node.workerinput["tsobs_folder"] = str(node.config.stash[FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server, when all workers are done."""
    if not hasattr(config, "workerinput") and FOLDER in config.stash:
        _remove(config.stash[FOLDER])


def pytest_report_header() -> str:
    """The server that databases will be on."""
    server = _known_server()
    if server is None:
        return "database: the embedded one, not fetched yet"
    return f"database: {server}, {server.bin_dir}"


def quick_place() -> Path:
    """Where tests' data are quick: in memory when there is plenty of it, else the usual place."""
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_FREE_BYTES
    return MEMORY if roomy and "TMPDIR" not in os.environ else Path(tempfile.gettempdir())


def _new_folder(place: Path) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=place))
    folder.chmod(0o755)  # as root, the server runs as another user
    return folder


def _sweep(folder: Path) -> None:
    """Remove what a run left that was killed."""
    pid = folder.name.removeprefix(PREFIX).split("-")[0]
    if folder.stat().st_uid == os.geteuid() and pid.isdigit() and not Path("/proc", pid).exists():
        _remove(folder)


def _remove(folder: Path) -> None:
    Cluster(folder).stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[TestServer]:
    """A running server without durability, shared by the run's workers."""
    folder = request.config.stash[FOLDER]
    cluster = Cluster(folder, _bin_dir(), durable=False, settings=SETTINGS)
    cluster.start()
    worker = getattr(request.config, "workerinput", {}).get("workerid", "main")
    running = TestServer(cluster, worker)
    yield running
    running.close()


@pytest.fixture(scope="session")
def template(server: TestServer) -> str:
    """The name of the migrated database that tests' databases are cloned from."""
    server.make_template()
    return TEMPLATE


@pytest.fixture
def database_url(server: TestServer, template: str) -> Iterator[str]:
    """The DSN of a fresh database with tsobs' schema."""
    name = server.create(template)
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def empty_database_url(server: TestServer) -> Iterator[str]:
    """The DSN of a fresh database without any schema."""
    name = server.create()
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def private_cluster(server: TestServer) -> Iterator[Cluster]:
    """A running, durable cluster of the test's own, to be stopped or killed."""
    folder = _new_folder(quick_place())
    cluster = Cluster(folder, server.cluster.server.bin_dir)
    cluster.start()
    yield cluster
    _remove(folder)


@pytest.fixture(scope="session")
def edition(server: TestServer) -> str:
    """'apache' or 'community'."""
    return server.edition


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what only the Community edition can do where there is only the Apache one."""
    wanting = [item for item in items if item.get_closest_marker("community")]
    if wanting and ((found := _known_server()) is None or found.edition != "community"):
        for item in wanting:
            item.add_marker(pytest.mark.skip(reason="Community edition needed"))
