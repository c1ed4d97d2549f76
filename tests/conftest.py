"""What every test gets: a clean environment, a loop that nothing may block, and the fixtures."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from tsobs.settings import declared

pytest_plugins = [
    "tests.fix_db",
    "tests.fix_proxy",
    "tests.fix_cgroup",
    "tests.fix_service",
    "tests.fix_process",
    "tests.fix_slurm",
    "tests.fix_peers",
    "tests.fix_gpu",
]

# Read by the fixtures and the benchmarks, not by what is tested.
_OURS = ("TSOBS_TEST_", "TSOBS_BENCH_", "TSOBS_CACHE_DIR")

# Short reads of local files, and names looked up before anything is served.
_MAY_BLOCK = (
    ("tsobs/sqlfiles.py", {"queries", "sql_root", "parse"}),
    ("tsobs/migrate.py", {"migrate_scripts", "replaceable_script", "_script"}),
    ("tsobs/listen.py", {"open_listeners"}),
    # the driver looks for certificates and .pgpass whenever it connects
    ("asyncpg/connect_utils.py", {"_parse_connect_arguments", "_connect_addr"}),
    # /proc is memory
    ("prometheus_client/process_collector.py", {"collect"}),
)


def pytest_configure() -> None:
    """A shell starts a background job with these ignored, and its children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is set on this machine must not reach a test."""
    named = {name for setting in declared() for name in (setting.variable, *setting.aliases)}
    for name in list(os.environ):
        if name in named or (name.startswith("TSOBS_") and not name.startswith(_OURS)):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def unblocked_loop() -> Iterator[BlockBuster]:
    """Fails a test in which the service's code blocks the event loop."""
    with blockbuster_ctx(
        scanned_modules=["tsobs", "ingest", "query"], excluded_modules=["tsobs.embedded"]
    ) as guard:
        for function in guard.functions.values():
            for file, names in _MAY_BLOCK:
                function.can_block_in(file, names)
        yield guard


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """An ordinary user skips what needs root; CI runs as root and may skip nothing."""
    if os.geteuid() != 0:
        for item in items:
            if item.get_closest_marker("root"):
                item.add_marker(pytest.mark.skip(reason="needs root"))
