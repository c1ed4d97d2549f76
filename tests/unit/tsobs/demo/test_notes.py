from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tsobs.demo.notes import read_note, write_note
from tsobs.errors import SetupError


def test_a_note_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    assert read_note(path) is None
    for note in ({"a": [1, None, 2.5]}, {}):
        write_note(path, note)
        assert read_note(path) == note
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00\xff"])
def test_a_damaged_note_says_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "note.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(SetupError, match=r"damaged: begin anew with tsobs demo --fresh"):
        read_note(path)
