"""What is remembered about a database beside its data: port, password, programs."""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tsobs.errors import SetupError

__all__ = ["State", "free_ports", "is_free", "load", "save"]

# Below the range that outgoing connections are given their port from.
FIRST_PORT = 15432
PORTS = 200


@dataclass(slots=True)
class State:
    """The remembered facts; `port` 0 means that none was chosen yet."""

    password: str
    port: int = 0
    bin_dir: str = ""
    database_made: bool = False

    @classmethod
    def new(cls) -> State:
        """A state with a fresh password."""
        return cls(password=secrets.token_hex(16))


def load(path: Path) -> State | None:
    """The state in the file, or None when there is none; raises SetupError when it is damaged."""
    try:
        return State(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise SetupError(
            f"{path} is not readable: this database belongs to another user."
        ) from error
    except (ValueError, TypeError) as error:
        raise SetupError(f"{path} is damaged ({error}); it holds the port and password.") from error


def save(path: Path, state: State) -> None:
    """Replace the file as a whole, readable by its owner alone."""
    draft = path.with_suffix(".new")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        json.dump(asdict(state), file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def free_ports(preferred: int) -> Iterator[int]:
    """Loopback ports that nobody listens on, `preferred` first when it is not 0."""
    for port in [preferred, *range(FIRST_PORT, FIRST_PORT + PORTS)]:
        if port and is_free(port):
            yield port


def is_free(port: int) -> bool:
    """Whether a server could listen on the loopback port now."""
    with socket.socket() as probe:
        # As the server does: connections of a former server that still linger are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
