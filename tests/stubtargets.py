"""Targets to scrape whose values are known: each is `scrapes so far + series / 4`."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

__all__ = ["SPECIAL", "StubTargets"]

# What is hard to carry: quotes, a backslash, no ASCII, a value of more than a byte's length.
NAMED = r'path="C:\\Temp \"q\" ü 温度",job_class="' + "x" * 150 + '"'
SPECIAL = {"nan": "NaN", "inf": "+Inf", "minus_inf": "-Inf", "zero": "0", "huge": "1.5e300"}
# A tenth of the gauges is absent from each fourth scrape: their senders mark them stale.
GONE_EACH = 4
GONE_SHARE = 10


class StubTargets:
    """`targets` pages of so many series each, empty until `begin`."""

    def __init__(self, targets: int, series: int) -> None:
        self.targets = targets
        self.series = series
        self._page = [_lines(target, series) for target in range(targets)]
        self._is_on = False
        self._scrapes: Counter[tuple[int, str]] = Counter()
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"stub": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def paths(self) -> list[str]:
        """The page of each target."""
        return [f"/target/{number}" for number in range(self.targets)]

    def begin(self) -> None:
        """From now on the pages have their series."""
        self._is_on = True

    def scraped(self, target: int, by: str) -> bytes:
        """The text of a target at this scraper's next scrape of it."""
        if not self._is_on:
            return b""
        with self._lock:
            self._scrapes[target, by] += 1
            scrape = self._scrapes[target, by]
        return "\n".join(_filled(self._page[target], scrape)).encode()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _lines(target: int, series: int) -> list[str]:
    """Each series' name and labels; the first half are counters."""
    counters = series // 2
    lines = [
        f'stub_requests_total{{target="{target}",unit="{n}",{NAMED}}} ' for n in range(counters)
    ]
    lines += [f'stub_level{{target="{target}",unit="{n}"}} ' for n in range(counters, series)]
    return lines


def _filled(lines: list[str], scrape: int) -> Iterator[str]:
    counters = len(lines) // 2
    is_thin = scrape % GONE_EACH == GONE_EACH - 1
    yield "# HELP stub_requests_total What was asked, \\\\ and \\n escaped.\n" + (
        "# TYPE stub_requests_total counter"
    )
    for n, line in enumerate(lines[:counters]):
        yield f"{line}{scrape + n / 4}"
    yield "# HELP stub_level What goes up and down.\n# TYPE stub_level gauge"
    for n, line in enumerate(lines[counters:], counters):
        if not (is_thin and n % GONE_SHARE == 0):
            yield f"{line}{scrape + n / 4}"
    yield "# HELP stub_special Values with a meaning of their own.\n# TYPE stub_special gauge"
    target = lines[0].split('"')[1]
    for kind, value in SPECIAL.items():
        yield f'stub_special{{target="{target}",kind="{kind}"}} {value}'
    yield ""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scraper that went away is no news."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One scraper's connection."""

    stub: StubTargets
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The page, numbered by who scrapes (`?by=`) and which target."""
        path, _, by = self.path.partition("?")
        body = self.stub.scraped(int(path.rpartition("/")[2]), by)
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""
