"""What the doctor makes of the service's answers."""

from __future__ import annotations

import email.utils
import http.server
import json
import threading
import time
from collections.abc import Iterator

import pytest

from nodeagent.doctor.finding import Finding, Status
from nodeagent.doctor.service import examine_service
from nodeagent.push import Client


class Service(http.server.ThreadingHTTPServer):
    """Answers by path; `late_s` is how far its clock is."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.late_s = 0.0
        self.answers: dict[str, tuple[int, object]] = {
            "/v1/health": (200, {"status": "healthy"}),
            "/v1/samples": (400, {"error": "invalid_request"}),
            "/v1/events/job-started": (422, {"error": "validation_error"}),
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def do_GET(self) -> None:
        status, document = self.server.answers[self.path]
        text = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self) -> None:
        assert self.rfile.read(int(self.headers["Content-Length"])) == b"{}"
        self.do_GET()

    def date_time_string(self, timestamp: float | None = None) -> str:
        return email.utils.formatdate(time.time() - self.server.late_s, usegmt=True)

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


def ask(url: str, *, sends_events: bool = True) -> dict[str, Finding]:
    client = Client(url, token_file=None, ca_file=None, timeout_s=5, agent="test")
    found = list(examine_service(client, url, sends_events=sends_events))
    client.close()
    return {finding.subject: finding for finding in found}


def test_a_service_that_lets_all_in(service: Service) -> None:
    found = ask(service.url)
    assert {name: each.status for name, each in found.items()} == dict.fromkeys(
        ("reachable", "clock", "samples", "hooks' events"), Status.OK
    )
    assert "hooks' events" not in ask(service.url, sends_events=False)


def test_a_service_that_is_not_there() -> None:
    (finding,) = ask("http://127.0.0.1:1").values()
    assert finding.status is Status.FAULT


@pytest.mark.parametrize(
    "answer", [(200, "welcome"), (404, {"error": "not_found"}), (200, {"hello": 1})]
)
def test_another_service(answer: tuple[int, object], service: Service) -> None:
    service.answers["/v1/health"] = answer
    (finding,) = ask(service.url).values()
    assert finding.status is Status.FAULT


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_not_let_in(status: int, service: Service) -> None:
    denied = (status, {"error": "forbidden", "message": "needs scope"})
    service.answers["/v1/samples"] = service.answers["/v1/events/job-started"] = denied
    found = ask(service.url)
    assert found["samples"].status is Status.FAULT
    assert found["hooks' events"].status is Status.WARNING
    assert "scope 'events'" in (found["hooks' events"].advice or "")


def test_a_proxys_answer_is_no_acceptance(service: Service) -> None:
    service.answers["/v1/samples"] = (400, "plain HTTP request sent to HTTPS port")
    assert ask(service.url)["samples"].status is Status.FAULT


@pytest.mark.parametrize(
    ("late_s", "status"), [(0, Status.OK), (30, Status.OK), (90, Status.FAULT), (-90, Status.FAULT)]
)
def test_clocks(late_s: float, status: Status, service: Service) -> None:
    service.late_s = late_s
    assert ask(service.url)["clock"].status is status
