"""Plain HTTP for acceptance tests: what `curl` would see, and waiting with an end."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any


def get(url: str, token: str | None = None, *, timeout_s: float = 10.0) -> tuple[int, Any]:
    """Status and JSON body of a GET; a refusal is an answer, too."""
    request = urllib.request.Request(url)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"null")


def is_refused(url: str) -> bool:
    """Whether nothing listens there any more."""
    host, port = url.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def wait_until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Returns when the condition holds; fails when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "this did not happen in time"
        time.sleep(0.05)
