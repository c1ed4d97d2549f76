"""`tsobs` commands as real processes, each ended with its test."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

ROOT = Path(__file__).resolve().parent.parent
READY = re.compile(r"tsobs is ready at (?P<url>http://\S+)")
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0


class Process:
    """One running command; what it prints is collected while it runs."""

    def __init__(self, *argv: str, **variables: str) -> None:
        kept = ("PATH", "HOME", "LANG", "TMPDIR", "TSOBS_CACHE_DIR")
        environ = {name: os.environ[name] for name in kept if name in os.environ}
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "tsobs", *argv],
            cwd=ROOT,
            env=environ | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self._readers = [
            threading.Thread(target=_collect, args=(stream, lines), daemon=True)
            for stream, lines in ((self.popen.stdout, self.out), (self.popen.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.popen.pid

    def ready(self) -> str:
        """The URL of its ready line; fails when it ends or takes too long."""
        return self._wait_for(READY, self.out)["url"]

    def wait_for_error(self, text: str) -> None:
        """Returns when the text is on standard error; fails when it ends or takes too long."""
        self._wait_for(re.compile(re.escape(text)), self.err)

    def _wait_for(self, pattern: re.Pattern[str], lines: list[str]) -> re.Match[str]:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if match := pattern.search("".join(lines)):
                return match
            if self.popen.poll() is not None:
                break
            time.sleep(0.02)
        shown = "".join(self.out + self.err)
        raise AssertionError(f"no {pattern.pattern!r} in what it printed:\n{shown}")

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Its exit status."""
        status = self.popen.wait(timeout_s)
        for reader in self._readers:
            reader.join(5)
        return status

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and waits for the end."""
        self.popen.send_signal(number)
        return self.wait()

    def children(self) -> list[int]:
        """The ids of its child processes."""
        found = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in found.split()]


def _collect(stream: IO[str], lines: list[str]) -> None:
    with stream:
        for line in stream:
            lines.append(line)


StartProcess = Callable[..., Process]


@pytest.fixture
def tsobs_process() -> Iterator[StartProcess]:
    """Starts `tsobs` with arguments and variables."""
    started: list[Process] = []

    def start(*argv: str, **variables: str) -> Process:
        process = Process(*argv, **variables)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.popen.poll() is None:
            # The whole session: workers outlive a killed parent by a moment.
            os.killpg(process.pid, signal.SIGKILL)
            process.popen.wait()
