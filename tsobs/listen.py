"""Sockets to listen on, bound before all else so that a taken port is known at once."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Sequence
from typing import NamedTuple

from tsobs.errors import SetupError

__all__ = ["Listeners", "explain_bind_error", "open_listeners"]

_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class Listeners(NamedTuple):
    """Bound sockets of one process, the URL that reaches them, and whether others can, too."""

    sockets: tuple[socket.socket, ...]
    url: str
    loopback: bool

    def close(self) -> None:
        """Closes them here; a process that has inherited them keeps its own."""
        for each in self.sockets:
            each.close()


def open_listeners(host: str, port: int, *, processes: int = 1) -> list[Listeners]:
    """Sockets for each of `processes` on one port; raises SetupError that says what is wrong.

    Several processes get a set each (SO_REUSEPORT): the kernel spreads connections over them.
    """
    addresses = _resolve(host)
    first = _bind_all(addresses, host, port, shared=False)
    if processes == 1:
        return [first]
    # The first one made sure that nobody has the port: SO_REUSEPORT alone would silently share it
    # with another service of the same user.
    port = first.sockets[0].getsockname()[1]
    first.close()
    return [_bind_all(addresses, host, port, shared=True) for _ in range(processes)]


def _resolve(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(
            host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
    except OSError as error:
        raise SetupError(
            f"host {host} means nothing here ({error.strerror}): set TSOBS_HOST, which counts more "
            "than HOST, to an address of this machine"
        ) from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _bind_all(addresses: Sequence[str], host: str, port: int, *, shared: bool) -> Listeners:
    sockets: list[socket.socket] = []
    absent: OSError | None = None
    for address in addresses:
        try:
            bound = _bind(address, port, shared=shared)
        except OSError as error:
            # A name may stand for an IPv6 address that this machine does not have.
            if error.errno in _ABSENT:
                absent = error
                continue
            for each in sockets:
                each.close()
            raise explain_bind_error(error, address, port) from None
        port = bound.getsockname()[1]
        sockets.append(bound)
    if not sockets:
        raise SetupError(f"host {host} is no address of this machine ({absent})")
    used = [ipaddress.ip_address(each.getsockname()[0].partition("%")[0]) for each in sockets]
    return Listeners(tuple(sockets), _url(used[0], port), all(one.is_loopback for one in used))


def _bind(address: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((address, port))
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


def explain_bind_error(error: OSError, address: str, port: int) -> SetupError:
    """What the operator can do about a socket that cannot be bound or listened on."""
    if error.errno == errno.EADDRINUSE:
        return SetupError(
            f"port {port} on {address} is taken: stop what listens there, choose another with "
            "--port, or let --port 0 find a free one"
        )
    if error.errno == errno.EACCES:
        return SetupError(f"port {port} needs privileges: choose one above 1023 with --port")
    return SetupError(f"cannot listen on {address} port {port}: {error.strerror}")


def _url(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> str:
    # "Every address" is no address to visit.
    if address.is_unspecified:
        return f"http://127.0.0.1:{port}"
    host = f"[{address}]" if address.version == 6 else str(address)
    return f"http://{host}:{port}"
