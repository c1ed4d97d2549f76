"""Folders that are watched, come and go."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodeagent.inotify import Inotify


def test_what_comes_and_goes_is_told_by_the_folders_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    watch = Inotify()
    assert watch.watch(str(tmp_path / "a"), "first")
    assert watch.watch(str(tmp_path / "a"), "again")
    assert watch.watch(str(tmp_path / "b"), "second")
    assert watch.read() == set()
    (tmp_path / "a" / "job_1").mkdir()
    (tmp_path / "b" / "job_2").mkdir()
    assert watch.read() == {"first", "second"}
    (tmp_path / "a" / "job_1").rmdir()
    assert watch.read() == {"first"}
    (tmp_path / "a").rmdir()
    assert watch.read() == {"first"}
    # Made again it is another folder, and can be watched again.
    (tmp_path / "a").mkdir()
    assert watch.read() == set()
    assert watch.watch(str(tmp_path / "a"), "third")
    (tmp_path / "a" / "job_1").mkdir()
    assert watch.read() == {"third"}
    watch.close()
    watch.close()


def test_a_folder_that_is_not_there_is_not_watched(tmp_path: Path) -> None:
    watch = Inotify()
    assert not watch.watch(str(tmp_path / "none"), "x")
    (tmp_path / "file").write_text("")
    assert not watch.watch(str(tmp_path / "file"), "x")
    watch.close()


def test_where_the_kernel_refuses_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nodeagent.inotify._CLOEXEC", 1)
    watch = Inotify()
    assert watch.handle < 0
    assert not watch.watch(str(tmp_path), "x")
    assert watch.read() == set()
    watch.close()
