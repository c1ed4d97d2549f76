from __future__ import annotations

import os
from pathlib import Path

import pytest

from tsobs.embedded import server
from tsobs.errors import SetupError


def make_tree(
    bin_dir: Path, share: Path, *, version: str = "17.5", timescaledb: str | None = "2.19.3"
) -> Path:
    """Programs that only tell their version."""
    bin_dir.mkdir(parents=True)
    for name in server.PROGRAMS:
        (bin_dir / name).write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version} (Debian)'\n")
        (bin_dir / name).chmod(0o755)
    if timescaledb:
        (share / "extension").mkdir(parents=True)
        control = share / "extension/timescaledb.control"
        control.write_text(f"# comment\ndefault_version = '{timescaledb}'\nrelocatable = false\n")
    return bin_dir


def debian(root: Path, version: str = "17.5", timescaledb: str | None = "2.19.3") -> Path:
    major = version.split(".")[0]
    return make_tree(
        root / f"usr/lib/postgresql/{major}/bin",
        root / f"usr/share/postgresql/{major}",
        version=version,
        timescaledb=timescaledb,
    )


def test_debians_layout(tmp_path: Path) -> None:
    bin_dir = debian(tmp_path)
    found = server.inspect(bin_dir)
    assert found == server.Server(bin_dir, 17, "17.5", "2.19.3", "apache")
    assert str(found) == "PostgreSQL 17.5 with TimescaleDB 2.19.3 (Apache edition)"


def test_the_community_edition_is_known_by_its_library(tmp_path: Path) -> None:
    bin_dir = make_tree(tmp_path / "usr/pgsql-18/bin", tmp_path / "usr/pgsql-18/share")
    lib = tmp_path / "usr/pgsql-18/lib"
    lib.mkdir()
    (lib / "timescaledb-tsl-2.18.0.so").touch()
    assert server.inspect(bin_dir).edition == "apache"
    (lib / "timescaledb-tsl-2.19.3.so").touch()
    assert server.inspect(bin_dir).edition == "community"


@pytest.mark.parametrize(
    ("version", "timescaledb", "message"),
    [
        ("15.9", "2.19.3", "16 or newer is needed"),
        ("17.5", None, "There is no TimescaleDB"),
        ("17.5", "2.18.9", r"TimescaleDB 2\.18\.9 .* is too old"),
        ("17.5", "2.9.3", "is too old"),
        ("odd", "2.19.3", "16 or newer is needed"),
    ],
)
def test_what_will_not_do(
    tmp_path: Path, version: str, timescaledb: str | None, message: str
) -> None:
    with pytest.raises(SetupError, match=message):
        server.inspect(debian(tmp_path, version, timescaledb))


def test_a_folder_without_a_server(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="it has no postgres"):
        server.inspect(tmp_path)


def test_programs_that_do_not_run(tmp_path: Path) -> None:
    bin_dir = debian(tmp_path)
    (bin_dir / "postgres").write_text("#!/bin/sh\necho cannot load; exit 127\n")
    with pytest.raises(SetupError, match=r"does not run here.*cannot load"):
        server.inspect(bin_dir)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host whose packages are under `tmp_path`, and that has nothing cached."""
    patterns = tuple(f"{tmp_path}/{pattern}"[1:] for pattern in server.INSTALLED)
    monkeypatch.setattr(server, "INSTALLED", patterns)
    monkeypatch.setenv("TSOBS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.defpath}")
    (tmp_path / "bin").mkdir()
    return tmp_path


def test_the_newest_installed_one_that_will_do_is_taken(host: Path) -> None:
    assert server.find_local() is None
    debian(host, "15.1")
    debian(host, "16.2")
    debian(host, "17.5")
    debian(host, "18.1", timescaledb=None)
    found = server.find_local()
    assert found is not None
    assert found.version == "17.5"


def test_data_of_a_major_version_need_that_one(host: Path) -> None:
    debian(host, "16.2")
    debian(host, "17.5")
    found = server.find_local(major=16)
    assert found is not None
    assert found.version == "16.2"
    assert server.find_local(major=18) is None


def test_the_path_is_asked_too(host: Path) -> None:
    bin_dir = make_tree(host / "opt/pg/bin", host / "opt/pg/share/postgresql")
    (host / "bin/pg_config").write_text(f"#!/bin/sh\necho {bin_dir}\n")
    (host / "bin/pg_config").chmod(0o755)
    assert server.find_server() == server.inspect(bin_dir)


def test_a_given_folder_wins(host: Path) -> None:
    debian(host)
    given = make_tree(host / "given/bin", host / "given/share", version="16.4")
    assert server.find_server(given).bin_dir == given
    with pytest.raises(SetupError, match="it has no postgres"):
        server.find_server(host / "bin")
