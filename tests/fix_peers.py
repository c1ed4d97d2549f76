"""Other people's programs for tests, fetched from the host's package archive (`tests.peers`).

`peer_program`  the path of a program in `PEERS`; where it cannot be had, the test fails
`start_peer`    starts one as a server of the test's own: `start_peer(name, words, ready=path)`
`start_sender`  starts a real remote-write sender of `SENDERS` on stub targets:
                `start_sender(name, stub, url)`

All are ended with the test. A test that may be the first to fetch needs a time limit for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.peerprocess import PeerProcess
from tests.peers import PEERS
from tests.senders import Sender, make_sender
from tests.stubtargets import StubTargets

StartPeer = Callable[..., PeerProcess]
StartSender = Callable[[str, StubTargets, str], Sender]


@pytest.fixture(scope="session")
def peer_program() -> Callable[[str], Path]:
    """By name in `PEERS`."""
    return lambda name: PEERS[name].path()


@pytest.fixture
def start_peer(tmp_path: Path) -> Iterator[StartPeer]:
    """A server in a folder of its own below the test's."""
    with ExitStack() as stack:

        def start(name: str, words: Sequence[str], *, ready: str = "/metrics") -> PeerProcess:
            folder = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}"
            return stack.enter_context(PeerProcess(PEERS[name].path(), words, folder, ready=ready))

        yield start


@pytest.fixture
def start_sender(tmp_path: Path) -> Iterator[StartSender]:
    """A sender that writes to the URL given."""
    with ExitStack() as stack:

        def start(name: str, stub: StubTargets, url: str) -> Sender:
            sender = make_sender(name, stub, url, tmp_path / f"sender-{name}")
            stack.callback(sender.stop)
            sender.start()
            return sender

        yield start
