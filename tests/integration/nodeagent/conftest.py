"""A receiver that counts each (stream, seq) once, and the agent as a process of its own."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


class Receiver:
    """Speaks the sample contract over HTTP: a ledger by (stream, seq) and body; can be made to
    misbehave."""

    def __init__(self) -> None:
        self.batches: dict[tuple[str, int], dict[str, Any]] = {}
        self.digests: dict[tuple[str, int], bytes] = {}
        self.order: list[tuple[str, int]] = []
        self.problems: list[str] = []
        self.taken_streams: set[str] = set()
        self.status = 200
        self.lose_every = 0
        self.delay_s = 0.0
        self.requests = 0
        self._lock = threading.Lock()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(receiver.delay_s)
                with receiver._lock:
                    answer = receiver._take(gzip.decompress(data))
                if answer is None:
                    self.close_connection = True
                    return
                status, document = answer
                text = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """An agent that is killed hangs up: no news."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def _take(self, body: bytes) -> tuple[int, dict[str, Any]] | None:
        self.requests += 1
        if self.status != 200:
            return self.status, {"error": "overloaded"}
        document = json.loads(body)
        numbers = (document["stream"], document["seq"])
        if numbers[0] in self.taken_streams:
            return 409, {"error": "stream_conflict"}
        digest = hashlib.sha256(body).digest()
        known = self.digests.setdefault(numbers, digest)
        if known != digest:
            self.problems.append(f"{numbers}: other bytes under the same numbers")
        status = "duplicate" if numbers in self.batches else "accepted"
        if status == "accepted":
            self.batches[numbers] = document
            self.order.append(numbers)
        if self.lose_every and self.requests % self.lose_every == 0:
            return None
        return 200, {"status": status, "time": time.time()}

    def rows(self, job_id: str) -> list[dict[str, Any]]:
        """Return the job's samples in the order of arrival."""
        found = []
        for numbers in self.order:
            document = self.batches[numbers]
            ids = document.get("jobs", {}).get("job_id", [])
            table = document["tables"].get("job_sample", {})
            for values in zip(*table.values(), strict=True):
                row = dict(zip(table, values, strict=True))
                if ids[row["job"]] == job_id:
                    found.append(row)
        return found

    def ends(self, job_id: str) -> list[float]:
        """Return the times at which the job was said to be gone."""
        ends = []
        for numbers in self.order:
            jobs = self.batches[numbers].get("jobs", {})
            for name, gone_at in zip(jobs.get("job_id", []), jobs.get("gone_at", []), strict=False):
                if name == job_id and gone_at is not None:
                    ends.append(gone_at)
        return ends

    def cpu_s(self, job_id: str) -> float:
        """Return the CPU seconds of the job."""
        return sum(
            (row.get("cpu_user_s") or 0.0) + (row.get("cpu_system_s") or 0.0)
            for row in self.rows(job_id)
        )


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on a free loopback port."""
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.01,))
    thread.start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()
    thread.join()
    assert receiver.problems == []


class AgentProcess:
    """An agent running as a process; its log is kept."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self.log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "nodeagent", *arguments], cwd=ROOT, stderr=file
            )

    def kill(self) -> None:
        """Kill it without warning."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> float:
        """Ask it to stop; return how long it took. It must end with 0."""
        start = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(10) == 0, self.log.read_text()
        return time.monotonic() - start


StartAgent = Callable[..., AgentProcess]


@pytest.fixture
def start_process(tmp_path: Path, receiver: Receiver) -> Iterator[StartAgent]:
    """Start the agent against the receiver; called again with the same state folder."""
    running: list[AgentProcess] = []

    def start(*arguments: str, url: str | None = None) -> AgentProcess:
        common = [f"--url={url or receiver.url}", f"--state-dir={tmp_path / 'state'}"]
        common.append(f"--event-dir={tmp_path / 'events'}")
        agent = AgentProcess([*common, *arguments], tmp_path / "agent.log")
        running.append(agent)
        return agent

    yield start
    for agent in running:
        if agent.process.poll() is None:
            agent.kill()


def until(condition: Callable[[], bool], within_s: float = 15.0) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
