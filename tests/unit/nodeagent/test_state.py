"""The state file: whole or not at all, and a damaged one is put aside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeagent.state import StateFile, Stored, in_use, replace_file, sync_folder
from tests.unit.nodeagent.conftest import numbered

DOCUMENT = {"next_seq": 3, "agent": {"jobs": {}}}
BATCHES = [numbered(1), numbered(2)]


def test_what_is_saved_is_loaded_byte_for_byte(tmp_path: Path) -> None:
    state = StateFile(tmp_path)
    assert state.load() is None
    state.save(DOCUMENT, BATCHES)
    assert state.load() == Stored(DOCUMENT, BATCHES)
    state.save({}, [])
    assert StateFile(tmp_path).load() == Stored({}, [])
    assert state.path.stat().st_mode & 0o777 == 0o600


@given(data=st.data())
def test_any_damage_is_noticed(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("state")
    state = StateFile(folder)
    state.save(DOCUMENT, BATCHES)
    raw = bytearray(state.path.read_bytes())
    if data.draw(st.booleans()):
        raw = raw[: data.draw(st.integers(0, len(raw) - 1))]
    else:
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] ^= data.draw(st.integers(1, 255))
    state.path.write_bytes(raw)
    assert state.load() is None
    assert not state.path.exists()
    (aside,) = folder.glob("state.damaged-*")
    assert aside.read_bytes() == raw


def test_a_write_cut_short_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = StateFile(tmp_path)
    state.save(DOCUMENT, BATCHES)

    def full(_handle: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        state.save({}, [])
    assert state.load() == Stored(DOCUMENT, BATCHES)


def test_file_and_folder_are_synced_before_a_save_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    real = os.fsync

    def note(handle: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{handle}")).name)  # noqa: PTH115
        real(handle)

    monkeypatch.setattr(os, "fsync", note)
    replace_file(tmp_path / "file", b"x")
    assert synced == ["file.new", tmp_path.name]
    sync_folder(tmp_path)
    assert len(synced) == 3


def test_one_agent_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "state"
    with in_use(folder):
        assert folder.stat().st_mode & 0o777 == 0o700
        with pytest.raises(BlockingIOError), in_use(folder):
            pass
    with in_use(folder):
        pass
