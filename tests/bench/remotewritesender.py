"""A sender in a process of its own: requests from a file, a connection and a thread each stream.

`python -m tests.bench.remotewritesender SPOOL PORT` prints what it saw as JSON.
"""

from __future__ import annotations

import json
import mmap
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

__all__ = ["Delivery", "Spool", "deliver", "fill_spool"]

RETRY_S = 0.2
GIVE_UP_S = 120.0
HEAD = re.compile(rb"HTTP/1\.1 (\d{3})")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Spool(NamedTuple):
    """A file of requests; each stream's are (offset, bytes) in order."""

    path: Path
    streams: list[list[tuple[int, int]]]


class Delivery(NamedTuple):
    """Seconds on the wall and of the sender's own CPU; latencies; how often it was told 503."""

    wall_s: float
    cpu_s: float
    p50_s: float
    p95_s: float
    retries: int


def fill_spool(path: Path, streams: Iterable[Iterable[bytes]]) -> Spool:
    """Writes the requests of each stream, and beside them where they stand."""
    places: list[list[tuple[int, int]]] = []
    with path.open("wb") as file:
        for stream in streams:
            own = []
            for request in stream:
                own.append((file.tell(), len(request)))
                file.write(request)
            places.append(own)
    path.with_suffix(".json").write_text(json.dumps(places))
    return Spool(path, places)


def deliver(spool: Spool, url: str) -> Delivery:
    """Sends all of it from another process; raises RuntimeError with what was refused."""
    words = ["-m", "tests.bench.remotewritesender", str(spool.path), str(urlsplit(url).port)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the sender gave up: {done.stderr[-2000:]}")
    return Delivery(**json.loads(done.stdout))


class _Stream:
    """One connection with its requests."""

    def __init__(self, data: memoryview, places: list[list[int]], port: int) -> None:
        self._data = data
        self._places = places
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=GIVE_UP_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.latencies: list[float] = []
        self.retries = 0
        self.error: str = ""

    def run(self, start: threading.Barrier) -> None:
        """Each request until it is answered 2xx; a 503 is asked again."""
        start.wait()
        try:
            for at, size in self._places:
                self._post(self._data[at : at + size])
        except (OSError, RuntimeError) as error:
            self.error = f"{type(error).__name__}: {error}"

    def _post(self, request: memoryview) -> None:
        began = time.perf_counter()
        while True:
            self._socket.sendall(request)
            status, answer = self._answer()
            if 200 <= status < 300:
                break
            if status != 503 or time.perf_counter() - began > GIVE_UP_S:
                raise RuntimeError(f"{status}: {answer[-500:]!r}")
            self.retries += 1
            time.sleep(RETRY_S)
        self.latencies.append(time.perf_counter() - began)

    def _answer(self) -> tuple[int, bytes]:
        got = b""
        while b"\r\n\r\n" not in got:
            piece = self._socket.recv(65536)
            if not piece:
                raise RuntimeError(f"the connection ended after {got!r}")
            got += piece
        head, _, body = got.partition(b"\r\n\r\n")
        match = HEAD.match(head)
        if match is None:
            raise RuntimeError(f"no answer of HTTP: {head!r}")
        length = LENGTH.search(head)
        while length and len(body) < int(length[1]):
            body += self._socket.recv(65536)
        return int(match[1]), body


def main(spool: Path, port: int) -> int:
    """The figures on standard output; 1 when something was refused."""
    places = json.loads(spool.with_suffix(".json").read_text())
    with spool.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        view = memoryview(data)
        streams = [_Stream(view, own, port) for own in places]
        start = threading.Barrier(len(streams) + 1)
        threads = [threading.Thread(target=stream.run, args=(start,)) for stream in streams]
        for thread in threads:
            thread.start()
        start.wait()
        began, cpu_s = time.perf_counter(), time.process_time()
        for thread in threads:
            thread.join()
        wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_s
        view.release()
    if errors := [stream.error for stream in streams if stream.error]:
        sys.stderr.write(errors[0])
        return 1
    latencies = sorted(latency for stream in streams for latency in stream.latencies)
    p50, p95 = (latencies[int(q * (len(latencies) - 1))] for q in (0.5, 0.95))
    retries = sum(stream.retries for stream in streams)
    sys.stdout.write(json.dumps(Delivery(wall_s, cpu_s, p50, p95, retries)._asdict()))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
