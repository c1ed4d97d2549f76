"""Others' servers as processes of their own on loopback, each with a folder to itself."""

from __future__ import annotations

import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.ports import private_port

__all__ = ["PeerProcess", "fetched", "metric_sum"]

START_WITHIN_S = 60.0
STOP_WITHIN_S = 60.0
PORT_TRIES = 3


def fetched(url: str, *, post: bytes | None = None, timeout_s: float = 60.0) -> bytes:
    """The body of a GET or POST; raises OSError (HTTPError included) when there is none."""
    with urllib.request.urlopen(url, data=post, timeout=timeout_s) as answer:
        body: bytes = answer.read()
        return body


def metric_sum(exposition: bytes, pattern: str) -> float:
    """The sum of all samples whose name and labels match the pattern; 0 when there are none."""
    line = re.compile(rf"^({pattern})\s+(\S+)\s*$".encode(), re.MULTILINE)
    return sum(float(match[match.lastindex or 1]) for match in line.finditer(exposition))


class PeerProcess:
    """A server; `words` may hold `{port}` and `{folder}`, and `ready` is a path that then
    answers 200."""

    def __init__(
        self, program: Path, words: Sequence[str], folder: Path, *, ready: str = "/metrics"
    ) -> None:
        self.folder = folder
        self.url = ""
        self._program = program
        self._words = words
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.folder / "log.txt"

    def start(self) -> None:
        """Starts it on a free port (the same one again) and waits until it is ready."""
        for _ in range(PORT_TRIES):
            self.url = self.url or f"http://127.0.0.1:{private_port()}"
            if self._started():
                return
            self.url = ""  # another program was quicker with that port
        tail = self.log.read_text(errors="replace")[-3000:]
        raise RuntimeError(f"{self._program.name} did not start:\n{tail}")

    def _started(self) -> bool:
        port = self.url.rpartition(":")[2]
        words = [word.format(port=port, folder=self.folder) for word in self._words]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._program), *words], cwd=self.folder, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_WITHIN_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                fetched(self.url + self._ready, timeout_s=5)
            except OSError:
                time.sleep(0.05)
            else:
                return True
        self.stop()
        return False

    def stop(self) -> None:
        """Ends it as an operator does, by force if need be."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
