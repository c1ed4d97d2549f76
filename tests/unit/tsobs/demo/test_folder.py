from __future__ import annotations

from pathlib import Path

import pytest

from tsobs.demo.folder import Folder
from tsobs.errors import SetupError


def test_it_is_beside_the_usual_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TSOBS_DATA_DIR", str(tmp_path))
    assert Folder().path == tmp_path / "demo"
    assert Folder(tmp_path / "other").path == tmp_path / "other"


def test_one_demo_at_a_time(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "new" / "demo")
    busy = pytest.raises(SetupError, match="another tsobs demo is running")
    with folder.held(), busy, folder.held():
        pass
    with folder.held():
        pass


def test_beginning_anew_removes_what_is_ours_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    ours = (folder.simulation, folder.local_job, folder.agent_log, folder.token)
    for path in ours:
        path.write_text("x")
    for place in (folder.agent, tmp_path / "postgres", tmp_path / "mine"):
        (place / "data").mkdir(parents=True)
    folder.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    folder.clear()


def test_a_place_that_cannot_be_used_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    named = pytest.raises(SetupError, match=r"Not a directory.*TSOBS_DATA_DIR or --data-dir")
    with named, Folder(tmp_path / "file" / "demo").held():
        pass
