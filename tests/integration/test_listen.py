"""Sockets are real: which addresses, which port, and who else may have it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tsobs.errors import SetupError
from tsobs.listen import Listeners, open_listeners


@contextmanager
def listening(host: str, port: int = 0, *, processes: int = 1) -> Iterator[list[Listeners]]:
    opened = open_listeners(host, port, processes=processes)
    try:
        yield opened
    finally:
        for each in opened:
            each.close()


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.0.0.2", True), ("localhost", True), ("0.0.0.0", False)],
)
def test_loopback_is_what_was_bound(host: str, loopback: bool) -> None:
    with listening(host) as [one]:
        port = one.sockets[0].getsockname()[1]
        assert port > 0
        assert one.loopback is loopback
        assert one.url == f"http://{'127.0.0.2' if host == '127.0.0.2' else '127.0.0.1'}:{port}"


def test_nothing_is_accepted_before_it_is_served() -> None:
    with listening("127.0.0.1") as [one]:
        address = one.sockets[0].getsockname()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)


@pytest.mark.parametrize("processes", [1, 3])
def test_a_taken_port(processes: int) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        port = taken.getsockname()[1]
        # Also when the other one would share it.
        with pytest.raises(SetupError, match=rf"port {port} on 127.0.0.1 is taken.*--port 0"):
            open_listeners("127.0.0.1", port, processes=processes)
        with pytest.raises(SetupError, match="is taken"):
            open_listeners("0.0.0.0", port, processes=processes)


def test_each_process_has_its_own_socket_on_one_port() -> None:
    with listening("127.0.0.1", processes=3) as opened:
        assert len({each.sockets[0].fileno() for each in opened}) == 3
        assert len({each.url for each in opened}) == 1
        for each in opened:
            each.sockets[0].listen()


def test_a_host_that_is_none() -> None:
    with pytest.raises(SetupError, match=r"host nowhere\.invalid means nothing here.*TSOBS_HOST"):
        open_listeners("nowhere.invalid", 0)


def test_a_host_that_is_elsewhere() -> None:
    with pytest.raises(SetupError, match="is no address of this machine"):
        open_listeners("192.0.2.1", 0)
