from __future__ import annotations

import os
from pathlib import Path

import pytest

from nodeagent.identity import Identity
from tsobs.demo import localjob
from tsobs.demo.folder import Folder
from tsobs.demo.localjob import cgroup_label, why_not


def test_each_folder_has_cgroups_of_its_own(tmp_path: Path) -> None:
    first, second = (cgroup_label(Folder(tmp_path / name)) for name in ("a", "b"))
    assert first != second
    assert cgroup_label(Folder(tmp_path / "a")) == first
    assert Identity("host", (), frozenset({"host", first})).owns(first)


def test_an_ordinary_user_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert why_not() == "making a cgroup needs root"


def test_a_machine_without_cgroups_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(localjob, "tops", lambda _node: {})
    assert why_not() == "no cgroups are mounted at /sys/fs/cgroup"


def test_cgroups_that_cannot_be_written_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    monkeypatch.setattr(localjob, "tops", lambda _node: {"v2": tmp_path / "a" / "b"})
    assert why_not() == "/sys/fs/cgroup is read-only here"
