"""What an answer means, and how a batch is posted."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nodeagent.push import Client, Verdict, judge


def body(**document: Any) -> bytes:
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("status", "answer", "verdict"),
    [
        (200, body(status="accepted", time=1.0), Verdict.STORED),
        (200, body(status="duplicate"), Verdict.STORED),
        # Not the service: a proxy or a wrong address must not make data vanish.
        (200, b"<html>Welcome</html>", Verdict.LATER),
        (200, body(ok=True), Verdict.LATER),
        (204, b"", Verdict.LATER),
        (302, b"", Verdict.LATER),
        (400, body(error="invalid_request", message="ragged"), Verdict.REFUSED),
        (400, b"The plain HTTP request was sent to HTTPS port", Verdict.LATER),
        (415, body(error="unsupported_media"), Verdict.REFUSED),
        (413, b"<html>too large</html>", Verdict.REFUSED),
        (409, body(error="stream_conflict"), Verdict.CONFLICT),
        (409, body(error="conflict"), Verdict.LATER),
        (401, body(error="unauthorized"), Verdict.LATER),
        (403, body(error="forbidden"), Verdict.LATER),
        (404, body(error="not_found"), Verdict.LATER),
        (429, body(error="overloaded"), Verdict.LATER),
        (500, b"", Verdict.LATER),
        (503, body(error="overloaded"), Verdict.LATER),
    ],
)
def test_verdicts(status: int, answer: bytes, verdict: Verdict) -> None:
    judged = judge(status, {}, answer)
    assert judged.verdict is verdict
    assert judged.denied is (status in (401, 403))


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [("5", 5, 5), ("0", 0, 0), ("-3", 0, 0), ("1e9", 300, 300), ("0.5", 0.5, 0.5)],
)
def test_retry_after_in_seconds(value: str, low: float, high: float) -> None:
    wait = judge(503, {"retry-after": value}, b"").retry_after_s
    assert wait is not None
    assert low <= wait <= high


def test_retry_after_as_a_date_or_rubbish() -> None:
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 30))
    wait = judge(503, {"retry-after": date}, b"").retry_after_s
    assert wait is not None
    assert 20 < wait < 31
    assert judge(503, {"retry-after": "soon"}, b"").retry_after_s is None


def test_a_refusal_names_field_and_rule() -> None:
    answer = body(error="invalid_request", message="ragged", details={"field": "jobs.uid"})
    reason = judge(400, {}, answer).reason
    assert "ragged" in reason
    assert "jobs.uid" in reason


class Service:
    """An HTTP server that notes requests and answers what it is told."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.connections = 0
        self.hang_up = 0
        self.status = 200
        self.answer = body(status="accepted", time=time.time())
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                service.connections += 1
                super().setup()

            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                if service.hang_up:
                    service.hang_up -= 1
                    self.close_connection = True
                    return
                service.requests.append((self.path, dict(self.headers), data))
                self.send_response(service.status)
                self.send_header("Content-Length", str(len(service.answer)))
                self.end_headers()
                self.wfile.write(service.answer)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A client that hangs up is no news."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    thread = threading.Thread(target=service.server.serve_forever, args=(0.01,))
    thread.start()
    yield service
    service.server.shutdown()
    service.server.server_close()
    thread.join()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("first\n")
    return path


@pytest.fixture
def client(service: Service, token_file: Path) -> Iterator[Client]:
    client = Client(
        service.url + "/prefix/", token_file=token_file, ca_file=None, timeout_s=5, agent="test/1"
    )
    yield client
    client.close()


def test_a_batch_is_posted_compressed_over_one_connection(service: Service, client: Client) -> None:
    for _ in range(3):
        assert client.post(b'{"seq":1}').verdict is Verdict.STORED
    assert service.connections == 1
    path, headers, data = service.requests[0]
    assert path == "/prefix/v1/samples"
    assert gzip.decompress(data) == b'{"seq":1}'
    assert headers["Content-Encoding"] == "gzip"
    assert headers["Authorization"] == "Bearer first"
    assert headers["User-Agent"] == "test/1"
    # A retry has the same bytes on the wire too.
    assert service.requests[2][2] == data


def test_a_kept_connection_that_was_closed_is_opened_again(
    service: Service, client: Client
) -> None:
    client.post(b"{}")
    service.hang_up = 1
    assert client.post(b"{}").verdict is Verdict.STORED
    service.hang_up = 2
    assert client.post(b"{}").verdict is Verdict.LATER
    assert client.post(b"{}").verdict is Verdict.STORED


def test_a_changed_token_is_read_when_the_old_one_failed(
    service: Service, client: Client, token_file: Path
) -> None:
    client.post(b"{}")
    token_file.write_text("second\n")
    client.post(b"{}")
    client.forget_token()
    client.post(b"{}")
    tokens = [headers["Authorization"] for _, headers, _ in service.requests]
    assert tokens == ["Bearer first", "Bearer first", "Bearer second"]
    token_file.unlink()
    client.forget_token()
    assert client.post(b"{}").verdict is Verdict.LATER


@pytest.mark.parametrize("text", ["two words", "line\nline", "", "p\u00e4ss"])
def test_a_file_without_a_token_is_told_without_its_text(
    client: Client, token_file: Path, text: str
) -> None:
    token_file.write_text(text)
    answer = client.post(b"{}")
    assert answer.verdict is Verdict.LATER
    assert answer.reason == f"OSError: {token_file} holds no token"


def test_nobody_there() -> None:
    client = Client("http://127.0.0.1:1", token_file=None, ca_file=None, timeout_s=1, agent="t")
    answer = client.post(b"{}")
    assert answer.verdict is Verdict.LATER
    assert "refused" in answer.reason
    client.close()


def test_an_endless_answer_is_not_read_to_its_end(service: Service, client: Client) -> None:
    service.answer = b"x" * 3_000_000
    assert client.post(b"{}").verdict is Verdict.LATER
    service.answer = body(status="accepted")
    assert client.post(b"{}").verdict is Verdict.STORED
