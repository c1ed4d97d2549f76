"""A client of a real service, as the demo's senders have one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster

from tests.fix_service import StartService
from tsobs.demo.client import Client, open_client
from tsobs.demo.credentials import Credentials


@pytest.fixture(autouse=True)
def processes_may_be_started(unblocked_loop: BlockBuster) -> None:
    """Starting a process waits for a moment, until the kernel has loaded the program."""
    for name in ("os.read", "io.BufferedReader.read"):
        if name in unblocked_loop.functions:
            unblocked_loop.functions[name].can_block_in("subprocess.py", {"_execute_child"})


@pytest.fixture
async def credentials(database_url: str, tmp_path: Path) -> Credentials:
    """Credentials for the test's database."""
    return Credentials(database_url, tmp_path / "token")


@pytest.fixture
async def client(start_service: StartService, credentials: Credentials) -> AsyncIterator[Client]:
    """A client of a service with default settings."""
    async with open_client(await start_service(), credentials) as opened:
        yield opened
