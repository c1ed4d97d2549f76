from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tsobs.embedded.apt import Apt
from tsobs.embedded.packages import Package
from tsobs.embedded.process import silent
from tsobs.errors import SetupError

DUMP = """\
APT "";
APT::Architecture "arm64";
APT::Architectures:: "armhf";
APT::Default-Release "bookworm";
APT::Update::Post-Invoke:: "rm -f /var/cache/apt/archives/*.deb || true";
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::https::CaInfo "/etc/ssl/site.pem";
Acquire::Languages:: "de";
Dir "/";
Dir::Bin::dpkg "/usr/bin/dpkg";
Dir::Etc "etc/apt";
Dir::Etc::netrcparts "auth.conf.d";
Dir::Etc::preferencesparts "preferences.d";
Dir::Etc::trustedparts "trusted.gpg.d";
Dir::Cache::pkgcache "";
DPkg::Post-Invoke:: "rm -f /x || true";
"""


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines of our configuration on a host whose own is DUMP."""
    script = tmp_path / "bin/apt-config"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\ncat <<'END'\n{DUMP}END\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
    apt = Apt(tmp_path / "apt", codename="bookworm", suite="trixie", progress=silent)
    return apt._configuration().splitlines()


def test_proxies_certificates_and_keys_of_the_host_stay(configuration: list[str]) -> None:
    for line in (
        'Acquire::http::Proxy "http://proxy.example:3128";',
        'Acquire::https::CaInfo "/etc/ssl/site.pem";',
        'Dir::Etc::netrcparts "auth.conf.d";',
        'Dir::Etc::trustedparts "trusted.gpg.d";',
    ):
        assert line in configuration


def test_hooks_pins_and_the_default_release_do_not(configuration: list[str]) -> None:
    text = "\n".join(configuration)
    assert "Invoke" not in text
    assert "Default-Release" not in text
    assert '"preferences.d"' not in text


def test_state_is_ours_and_settings_of_ours_come_last(
    configuration: list[str], tmp_path: Path
) -> None:
    values = dict(line.rstrip(";").replace('"', "").split(" ", 1) for line in configuration)
    assert values["Dir::State"] == f"{tmp_path}/apt"
    assert values["Dir::Cache::pkgcache"] == f"{tmp_path}/apt/pkgcache.bin"
    assert values["Dir::Etc::parts"] == "/dev/null"
    assert values["Acquire::Languages"] == "none"
    assert values["APT::Architectures"] == "arm64"
    assert values["Acquire::Retries"] == "1"
    assert values["APT::Sandbox::User"] == "root"


def test_whole_packages_are_not_fetched_again_and_others_removed(tmp_path: Path) -> None:
    content = b"a package"
    (tmp_path / "whole.deb").write_bytes(content)
    (tmp_path / "torn.deb").write_bytes(content[:3])
    digest = hashlib.sha256(content).hexdigest()
    package = Package("whole", "1", "libs", (), digest, len(content), 1)
    apt = Apt(tmp_path / "apt", codename="bookworm", suite="trixie", progress=silent)
    apt.download([package], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["whole.deb"]


def test_a_failed_download_says_what_apt_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "bin/apt-get"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho 'E: Failed to fetch x  404  Not Found'\nexit 100\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
    (tmp_path / "debs").mkdir()
    apt = Apt(tmp_path / "apt", codename="bookworm", suite="trixie", progress=silent)
    with pytest.raises(SetupError, match=r"run the same command again(.|\n)*404  Not Found"):
        apt.download([Package("x", "1", "libs", (), "0" * 64, 1, 1)], tmp_path / "debs")
