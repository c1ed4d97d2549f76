"""Spooled events reach the service, or stay, or are put aside: as the answer says."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nodeagent.event_sender import EventSender
from nodeagent.event_spool import EventSpool
from nodeagent.push import Client

OWN = {"status": "created", "job_id": "5"}


class Service(http.server.ThreadingHTTPServer):
    """Answers each POST with a status and a document, and remembers what it was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 201
        self.document: object = OWN
        self.taken: list[tuple[str, bytes]] = []


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((self.path, body))
        text = json.dumps(self.server.document).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    thread = threading.Thread(target=service.serve_forever, args=(0.01,))
    thread.start()
    yield service
    service.shutdown()
    service.server_close()
    thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


Sender = Callable[..., EventSender]


@pytest.fixture
def sender() -> Iterator[Sender]:
    clients = []

    def make(folder: Path, service: Service | None) -> EventSender:
        port = 1 if service is None else service.server_address[1]
        url = f"http://127.0.0.1:{port}/base"
        client = Client(url, token_file=None, ca_file=None, timeout_s=5, agent="test")
        clients.append(client)
        return EventSender(EventSpool(folder), client)

    yield make
    for client in clients:
        client.close()


def put(folder: Path, number: int = 1, kind: str = "job-started") -> Path:
    path = folder / f"{number:03d}.{kind}.json"
    path.write_text(json.dumps({"job_id": str(number)}))
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_events_are_sent_to_their_route_and_forgotten(
    sender: Sender, service: Service, folder: Path
) -> None:
    put(folder, 1)
    put(folder, 2, "job-finished")
    assert sender(folder, service).send_some() == 5.0
    assert sorted(service.taken) == [
        ("/base/v1/events/job-finished", b'{"job_id": "2"}'),
        ("/base/v1/events/job-started", b'{"job_id": "1"}'),
    ]
    assert names(folder) == []


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
def test_what_will_never_succeed_is_put_aside_and_the_next_one_sent(
    sender: Sender, status: int, service: Service, folder: Path
) -> None:
    service.status, service.document = status, {"error": "x", "message": "job_id is required"}
    put(folder, 1)
    put(folder, 2)
    sender(folder, service).send_some()
    assert len(service.taken) == 2
    assert names(folder) == ["refused"]
    reason = (folder / "refused" / "001.job-started.json.reason").read_text()
    assert reason == f"{status}: job_id is required\n"


@pytest.mark.parametrize(
    ("status", "document"),
    [
        (401, {"error": "unauthorized"}),
        (403, {"error": "forbidden"}),
        (429, {"error": "overloaded"}),
        (500, {"error": "internal"}),
        (503, {"error": "overloaded"}),
        # A proxy's words settle nothing.
        (404, "no such page"),
        (200, "welcome"),
    ],
)
def test_what_may_succeed_later_is_put_back_and_the_rest_waits(
    sender: Sender,
    status: int,
    document: object,
    service: Service,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    service.status, service.document = status, document
    paths = [put(folder, number) for number in (1, 2)]
    one = sender(folder, service)
    for _ in range(2):
        assert one.send_some() >= 5.0
    assert len(service.taken) == 2
    assert names(folder) == [path.name for path in paths]
    assert ("scope 'events'" in caplog.text) is (status in (401, 403))
    assert len(caplog.records) == 1


def test_an_unreachable_service_and_a_missing_folder_are_waited_for(
    sender: Sender, folder: Path
) -> None:
    assert sender(folder / "none", None).send_some() == 5.0
    path = put(folder)
    assert sender(folder, None).send_some() >= 5.0
    assert path.exists()


def test_a_look_sends_no_more_than_it_may(sender: Sender, service: Service, folder: Path) -> None:
    for number in range(60):
        put(folder, number)
    one = sender(folder, service)
    assert one.send_some() < 1.0
    assert len(service.taken) == 50
    one.send_some()
    assert names(folder) == []


def test_the_thread_works_by_itself_and_stops(
    sender: Sender, service: Service, folder: Path
) -> None:
    put(folder)
    one = sender(folder, service)
    one.start()
    deadline = time.monotonic() + 10
    while names(folder) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert names(folder) == []
    one.stop()
    one._thread.join(5)
    assert not one._thread.is_alive()
