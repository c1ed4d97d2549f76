"""The node agent for this host, as a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tsobs.demo.folder import Folder
from tsobs.demo.leash import leashed

__all__ = ["CLUSTER", "Agent", "agent_command", "agent_environment", "open_agent"]

CLUSTER = "local"
_STOP_S = 5.0
_FIRST_LOOK_S = 5.0
_LOG_LINES = 5


class Agent:
    """A running agent; its log is in `log`."""

    name = "agent"

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    async def ended(self) -> str:
        """Returns when the process ended by itself."""
        status = await self._process.wait()
        tail = await asyncio.to_thread(self._tail)
        return f"exit status {status}; its log, {self._log}, ends with:\n{tail}"

    async def stop(self) -> None:
        """Ends it; it gets time to send what it has."""
        if self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), _STOP_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    def _tail(self) -> str:
        text = self._log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(f"    {line}" for line in text.splitlines()[-_LOG_LINES:])


@asynccontextmanager
async def open_agent(folder: Folder, url: str, node: str, alias: str) -> AsyncIterator[Agent]:
    """An agent that reports this host as `node`; jobs in cgroups of `alias` are its own, too."""
    log = await asyncio.to_thread(_open_log, folder)
    try:
        process = await asyncio.create_subprocess_exec(
            *leashed(agent_command(folder, url, node, alias)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=agent_environment(os.environ),
            # Ctrl-C in a terminal is for us: we end it in time.
            start_new_session=True,
        )
    finally:
        os.close(log)
    agent = Agent(process, folder.agent_log)
    try:
        # A job that begins after the first look is counted from the beginning.
        await asyncio.to_thread(_wait_for, folder.agent / "state", process)
        yield agent
    finally:
        await agent.stop()


def agent_command(folder: Folder, url: str, node: str, alias: str) -> list[str]:
    """The agent's command line."""
    settings = {
        "url": url,
        "token-file": folder.token,
        "state-dir": folder.agent,
        "cluster": CLUSTER,
        "node-name": node,
        "node-alias": alias,
        "log-level": "warning",
        # What hooks left on this host is not for a demo.
        "event-dir": "none",
    }
    flags = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    return [sys.executable, "-m", "nodeagent", *flags]


def agent_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Ours without settings for another agent, which may run here as well."""
    return {name: value for name, value in environ.items() if not name.startswith("TSOBS_")}


def _open_log(folder: Folder) -> int:
    folder.agent.mkdir(mode=0o700, exist_ok=True)
    return os.open(folder.agent_log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)


def _wait_for(state: Path, process: asyncio.subprocess.Process) -> None:
    deadline = time.monotonic() + _FIRST_LOOK_S
    while not state.exists() and process.returncode is None and time.monotonic() < deadline:
        time.sleep(0.05)
