"""Ports for servers that tests kill and start again in the same place."""

from __future__ import annotations

import random
import socket

__all__ = ["private_port"]

# Below the range from which the kernel gives ports: while a server is down, nobody gets its port by
# chance and answers in its stead.
FIRST, LAST = 20_000, 31_999


def private_port() -> int:
    """One that nobody listens on."""
    while True:
        port = random.SystemRandom().randint(FIRST, LAST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
