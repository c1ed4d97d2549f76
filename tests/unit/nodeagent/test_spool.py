"""The spool: one synced file a batch, and the place for refused ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodeagent import spool as spool_module
from nodeagent.spool import Spool, SpoolFile
from tests.unit.nodeagent.conftest import numbered

STREAM = "a" * 32


def test_batches_come_back_as_they_were_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for seq in (10, 9):
        assert spool.write(STREAM, seq, numbered(seq)).size_bytes == 4096
    assert Spool(tmp_path).files() == [SpoolFile(STREAM, 9, 4096), SpoolFile(STREAM, 10, 4096)]
    assert spool.read(STREAM, 10) == numbered(10)
    spool.remove(STREAM, 10)
    spool.remove(STREAM, 10)
    assert [found.seq for found in spool.files()] == [9]


def test_leftovers_of_a_crash_are_cleared_away(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    assert spool.files() == []
    (tmp_path / "spool" / f"{STREAM}-000000000001.json.gz.new").write_bytes(b"half")
    (tmp_path / "spool" / "note.txt").write_text("not ours")
    assert spool.files() == []
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["note.txt"]


@pytest.mark.parametrize("damage", [b"", b"no gzip", b"\x1f\x8b\x08"])
def test_a_damaged_file_is_told(tmp_path: Path, damage: bytes) -> None:
    spool = Spool(tmp_path)
    spool.files()
    spool.write(STREAM, 1, numbered(1))
    (tmp_path / "spool" / f"{STREAM}-000000000001.json.gz").write_bytes(damage)
    if damage == b"":
        assert spool.read(STREAM, 1) == b""
    else:
        with pytest.raises(ValueError, match=r"[a-zA-Z]"):
            spool.read(STREAM, 1)
    with pytest.raises(OSError, match="No such file"):
        spool.read(STREAM, 2)


def test_refused_batches_are_kept_with_their_reason_and_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "_REFUSED_KEPT", 3)
    spool = Spool(tmp_path)
    path = tmp_path
    for seq in range(1, 6):
        path = spool.keep_refused(STREAM, seq, numbered(seq), f"reason {seq}")
    assert path.read_bytes() == numbered(5)
    assert path.with_suffix(".reason").read_text() == "reason 5\n"
    assert len(list((tmp_path / "refused").iterdir())) == 6
