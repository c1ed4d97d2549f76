from __future__ import annotations

import os
from pathlib import Path

import pytest

from tsobs.embedded import places
from tsobs.errors import SetupError


@pytest.fixture
def ordinary(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("TSOBS_CACHE_DIR", "TSOBS_DATA_DIR", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return monkeypatch


def test_an_ordinary_user_has_them_at_home(ordinary: pytest.MonkeyPatch) -> None:
    assert places.cache_dir() == Path("/home/alice/.cache/tsobs")
    assert places.data_dir() == Path("/home/alice/.local/state/tsobs")


def test_xdg_folders_count_when_absolute(ordinary: pytest.MonkeyPatch) -> None:
    ordinary.setenv("XDG_CACHE_HOME", "/scratch/alice")
    ordinary.setenv("XDG_STATE_HOME", "relative")
    assert places.cache_dir() == Path("/scratch/alice/tsobs")
    assert places.data_dir() == Path("/home/alice/.local/state/tsobs")


def test_root_uses_folders_that_others_can_enter(ordinary: pytest.MonkeyPatch) -> None:
    ordinary.setattr(os, "geteuid", lambda: 0)
    assert places.cache_dir() == Path("/var/cache/tsobs")
    assert places.data_dir() == Path("/var/lib/tsobs")


def test_our_own_variables_win(ordinary: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ordinary.setenv("XDG_CACHE_HOME", "/scratch/alice")
    ordinary.setenv("TSOBS_CACHE_DIR", str(tmp_path))
    ordinary.setenv("TSOBS_DATA_DIR", "~/data")
    assert places.cache_dir() == tmp_path
    assert places.data_dir() == Path("/home/alice/data")


def test_without_a_home_the_message_names_the_variable(ordinary: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    ordinary.setattr(Path, "home", no_home)
    with pytest.raises(SetupError, match="TSOBS_CACHE_DIR"):
        places.cache_dir()


def test_folders_made_by_root_can_be_entered_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        places.make_folder(tmp_path / "a/b")
    finally:
        os.umask(before)
    expected = 0o755 if os.geteuid() == 0 else 0o700
    assert (tmp_path / "a").stat().st_mode & 0o777 == expected
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == expected
