from __future__ import annotations

import pytest

from tsobs.embedded.packages import Package, newest, parse_packages, reached

SHOWN = """\
Package: postgresql-17-timescaledb
Version: 2.19.3+dfsg-1
Installed-Size: 14090
Pre-Depends: init-system-helpers (>= 1.54)
Depends: postgresql-17, libc6 (>= 2.38), libssl3:any (>= 3) | libssl1.1
Description: time-series SQL database
 Depends: this is a continuation line and no field
Section: universe/database
Size: 372444
SHA256: f72088e6

N: Unable to locate package perlapi-5.40.1

Package: virtual-thing
"""


def package(name: str, section: str, *depends: str) -> Package:
    alternatives = tuple(tuple(one.split("|")) for one in depends)
    return Package(name, "1", section, alternatives, "0", 1, 1)


def known(*packages: Package) -> dict[str, Package]:
    return {one.name: one for one in packages}


def test_records_are_read_and_the_rest_passed_over() -> None:
    assert list(parse_packages(SHOWN).values()) == [
        Package(
            name="postgresql-17-timescaledb",
            version="2.19.3+dfsg-1",
            section="database",
            depends=(
                ("init-system-helpers",),
                ("postgresql-17",),
                ("libc6",),
                ("libssl3", "libssl1.1"),
            ),
            sha256="f72088e6",
            download_bytes=372444,
            installed_bytes=14090 * 1024,
        )
    ]


def test_libraries_and_databases_are_followed_and_nothing_else() -> None:
    records = known(
        package("extension", "database", "server", "libc6"),
        package("server", "database", "libllvm19", "server-common", "perl", "liba|libb"),
        package("server-common", "database", "perl"),
        package("perl", "perl", "libperl"),
        package("libperl", "libs"),
        package("libllvm19", "libs", "libz3"),
        package("libz3", "libs"),
        package("libb", "libs", "libc6"),
        package("libc6", "libs", "gcc-14-base", "libgcc"),
        package("libgcc", "libs", "libc6"),
        package("gcc-14-base", "libs"),
    )
    found = {one.name for one in reached(["extension"], records)}
    assert found == {"extension", "server", "libb", "libc6", "libgcc"}


def test_a_root_counts_whatever_its_section() -> None:
    records = known(package("patchelf", "utils", "libc6"), package("libc6", "libs"))
    assert [one.name for one in reached(["patchelf"], records)] == ["patchelf", "libc6"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["postgresql-9-x", "postgresql-17-x", "postgresql-16-x"], "postgresql-17-x"),
        (["a"], "a"),
        ([], None),
    ],
)
def test_the_newest_is_that_of_the_highest_number(names: list[str], expected: str | None) -> None:
    assert newest(names) == expected
