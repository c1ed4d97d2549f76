from __future__ import annotations

from pathlib import Path

import pytest

from tsobs.embedded.sources import rewrite_deb822, rewrite_list, write_sources

DEB822 = """\
# the release itself
Types: deb deb-src
URIs: http://mirror.example/debian
# a comment inside a stanza
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/archive.gpg

Types: deb
URIs: mirror+file:/etc/apt/mirrors.list
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBGPL0BUBEADmW5NdOOHwPIJlgPu6JDcKw/NZJPR8lsD3K87ZM18gzyQZJD+w
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: https://tools.example/apt
Suites: stable
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm

Types: deb-src
URIs: http://mirror.example/debian
Suites: bookworm
"""


def deb822(text: str, suite: str = "trixie") -> list[str]:
    return list(rewrite_deb822(text, codename="bookworm", suite=suite))


def one_line(text: str, suite: str = "trixie") -> list[str]:
    return list(rewrite_list(text, codename="bookworm", suite=suite))


def test_stanzas_of_the_release_are_rewritten_and_others_left_out() -> None:
    first, second = deb822(DEB822)
    assert first == (
        "Types: deb\n"
        "URIs: http://mirror.example/debian\n"
        "Suites: trixie trixie-updates\n"
        "Components: main contrib\n"
        "Signed-By: /usr/share/keyrings/archive.gpg\n"
    )
    assert "Suites: trixie-security\n" in second
    assert "URIs: mirror+file:/etc/apt/mirrors.list\n" in second


def test_an_embedded_key_stays_as_it_stands() -> None:
    key = DEB822[DEB822.index(" -----BEGIN") : DEB822.index("\n\nTypes: deb\nURIs: https")]
    assert key in deb822(DEB822)[1]


def test_the_hosts_own_suite_is_kept() -> None:
    assert "Suites: bookworm bookworm-updates\n" in deb822(DEB822, suite="bookworm")[0]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "deb http://mirror.example/debian bookworm main contrib",
            ["deb http://mirror.example/debian trixie main contrib"],
        ),
        (
            "deb [ arch=amd64 signed-by=/k.gpg ] https://m.example/d bookworm-security main # why",
            ["deb [ arch=amd64 signed-by=/k.gpg ] https://m.example/d trixie-security main"],
        ),
        ("  deb   file:/srv/debian   bookworm   main ", ["deb file:/srv/debian trixie   main"]),
        ("deb http://packages.example/ bookworm-pgdg main", None),
        ("deb cdrom:[Debian_12]/ bookworm main", []),
        ("deb-src http://mirror.example/debian bookworm main", []),
        ("# deb http://mirror.example/debian bookworm main", []),
        ("deb http://mirror.example/debian bookwormish main", []),
        ("deb http://mirror.example/debian bookworm-backports main", []),
        ("deb https://tools.example/apt stable main", []),
        ("deb", []),
        ("", []),
    ],
)
def test_lines(line: str, expected: list[str] | None) -> None:
    if expected is None:
        expected = [line.replace("bookworm", "trixie")]
    assert one_line(line) == expected


def test_files_are_written_under_names_that_apt_reads(tmp_path: Path) -> None:
    (tmp_path / "a.sources").write_text(DEB822)
    (tmp_path / "b.list").write_text("deb http://mirror.example/debian bookworm main\n")
    (tmp_path / "c.list.disabled").write_text("deb http://mirror.example/debian bookworm main\n")
    (tmp_path / "d.list").write_text("deb https://tools.example/apt stable main\n")
    into = tmp_path / "out"
    into.mkdir()
    files = sorted(path for path in tmp_path.iterdir() if path.is_file())
    assert write_sources(files, into, codename="bookworm", suite="trixie") == 3
    assert sorted(path.name for path in into.iterdir()) == ["000-a.sources", "001-b.list"]
