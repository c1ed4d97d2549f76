from __future__ import annotations

import platform
from pathlib import Path

import pytest

from tsobs.embedded import host
from tsobs.errors import SetupError

Release = dict[str, str]


@pytest.fixture
def with_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in host.TOOLS:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return monkeypatch


@pytest.mark.parametrize(
    ("release", "codename"),
    [
        ({"ID": "debian", "VERSION_CODENAME": "bookworm"}, "bookworm"),
        ({"ID": "linuxmint", "VERSION_CODENAME": "wilma", "UBUNTU_CODENAME": "noble"}, "noble"),
        ({"ID": "lmde", "VERSION_CODENAME": "faye", "DEBIAN_CODENAME": "bookworm"}, "bookworm"),
    ],
)
def test_the_release_is_that_of_the_archive(
    with_tools: pytest.MonkeyPatch, release: Release, codename: str
) -> None:
    with_tools.setattr(platform, "freedesktop_os_release", lambda: release)
    assert host.host_release() == codename


def test_another_distribution_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(
        platform, "freedesktop_os_release", lambda: {"PRETTY_NAME": "Rocky Linux 9.4"}
    )
    with pytest.raises(SetupError) as caught:
        host.host_release()
    for words in ("Rocky Linux 9.4 has no apt-get", "postgresql-17", "DATABASE_URL"):
        assert words in caught.value.message


def test_a_nameless_release_is_told_what_to_do(with_tools: pytest.MonkeyPatch) -> None:
    def missing() -> Release:
        raise OSError("no os-release")

    with_tools.setattr(platform, "freedesktop_os_release", missing)
    with pytest.raises(SetupError, match="VERSION_CODENAME"):
        host.host_release()


@pytest.mark.parametrize(
    ("codename", "suite"), [("bookworm", "trixie"), ("trixie", "trixie"), ("questing", "questing")]
)
def test_only_releases_that_are_too_old_are_served_by_another(codename: str, suite: str) -> None:
    assert host.suite_for(codename) == suite
