from __future__ import annotations

from pathlib import Path

import pytest

from tsobs.embedded.initdb import data_major, require_same_major
from tsobs.embedded.server import Server
from tsobs.errors import SetupError

SERVER = Server(Path("/srv/bin"), 17, "17.5", "2.19.3", "apache")


def test_the_data_know_their_version(tmp_path: Path) -> None:
    assert data_major(tmp_path) is None
    (tmp_path / "PG_VERSION").write_text("17\n")
    assert data_major(tmp_path) == 17
    require_same_major(tmp_path, SERVER)


def test_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "PG_VERSION").write_text("16\n")
    with pytest.raises(SetupError) as caught:
        require_same_major(tmp_path, SERVER)
    for words in ("PostgreSQL 16", "version 17.5", "--bin-dir", "--data-dir"):
        assert words in caught.value.message


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no PostgreSQL data folder"):
        require_same_major(tmp_path, SERVER)
