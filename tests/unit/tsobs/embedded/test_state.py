from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tsobs.embedded import state
from tsobs.errors import SetupError


def test_it_is_remembered_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    before = os.umask(0)
    try:
        known = state.State.new()
        known.port = 15433
        state.save(path, known)
    finally:
        os.umask(before)
    assert state.load(path) == known
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["state.json"]


def test_passwords_differ() -> None:
    first, second = state.State.new().password, state.State.new().password
    assert first != second
    assert len(first) == 32


def test_nothing_is_remembered_at_first(tmp_path: Path) -> None:
    assert state.load(tmp_path / "state.json") is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"port": 1}', '{"password": "x", "odd": 1}'])
def test_a_damaged_file_is_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(content)
    with pytest.raises(SetupError, match=r"state\.json is damaged"):
        state.load(path)


def test_the_remembered_port_comes_first_when_it_is_free() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        assert next(state.free_ports(taken)) != taken
    assert next(state.free_ports(taken)) == taken


def test_a_taken_port_is_passed_over() -> None:
    first = next(state.free_ports(0))
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", first))
        other.listen()
        assert next(state.free_ports(0)) > first
