"""A small HTTP server in the place of the service, for answers that a service rarely gives."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Receiver"]


class Receiver:
    """A small HTTP server that keeps what it gets and answers as it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self.answer: tuple[int, str] = (200, '{"status":"updated","job_id":"1","message":"ok"}')
        self.delay_s = 0.0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.headers.append(dict(self.headers))
                receiver.events.append((self.path, json.loads(body)))
                time.sleep(receiver.delay_s)
                status, text = receiver.answer
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                # A hook that waits no longer has gone.
                with contextlib.suppress(ConnectionError):
                    self.end_headers()
                    self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def kinds(self) -> list[str]:
        """The kinds of the events, in the order in which they came."""
        return [path.removeprefix("/v1/events/") for path, _ in self.events]

    def stop(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
