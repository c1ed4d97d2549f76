"""Package records as apt shows them, and what a package needs to run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

__all__ = ["Package", "newest", "parse_packages", "reached"]

FIELD = re.compile(r"^([A-Za-z0-9-]+):[ \t]*(.*)$", re.M)
# Only these are followed from a package to what it depends on; the rest is scripts and data.
FOLLOWED_SECTIONS = {"libs", "database"}
# LLVM (26 MB) would serve just-in-time compilation alone, which the server has switched off.
NOT_FOLLOWED = re.compile(r"libllvm\d.*|.*-common|.*-common-dev|gcc-\d+-base")


@dataclass(frozen=True, slots=True)
class Package:
    """One version of a package; `depends` has the names to choose from, one tuple a dependency."""

    name: str
    version: str
    section: str
    depends: tuple[tuple[str, ...], ...]
    sha256: str
    download_bytes: int
    installed_bytes: int


def parse_packages(text: str) -> dict[str, Package]:
    """The records of `apt-cache show`, by name; text that is no record is passed over."""
    found: dict[str, Package] = {}
    for stanza in text.split("\n\n"):
        fields = dict(FIELD.findall(stanza))
        if "Package" in fields and "SHA256" in fields:
            found.setdefault(fields["Package"], _package(fields))
    return found


def _package(fields: Mapping[str, str]) -> Package:
    return Package(
        name=fields["Package"],
        version=fields["Version"],
        # Ubuntu writes the component before it: universe/libs.
        section=fields.get("Section", "").rsplit("/", 1)[-1],
        depends=tuple(_dependencies(fields)),
        sha256=fields["SHA256"],
        download_bytes=int(fields["Size"]),
        installed_bytes=int(fields.get("Installed-Size", "0")) * 1024,
    )


def _dependencies(fields: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    for name in ("Pre-Depends", "Depends"):
        for clause in fields.get(name, "").split(","):
            if clause.strip():
                yield tuple(re.split(r"[\s:(]", one.strip())[0] for one in clause.split("|"))


def newest(names: Iterable[str]) -> str | None:
    """Of postgresql-9-x and postgresql-17-x the second: numbers count as numbers."""
    return max(names, key=_natural, default=None)


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def reached(roots: Iterable[str], known: Mapping[str, Package]) -> list[Package]:
    """The roots and, transitively, the libraries and database packages that they depend on."""
    wanted: dict[str, Package] = {}
    queue = list(roots)
    while queue:
        package = known[queue.pop(0)]
        if package.name in wanted:
            continue
        wanted[package.name] = package
        for alternatives in package.depends:
            queue.extend([name for name in alternatives if _followed(name, known)][:1])
    return list(wanted.values())


def _followed(name: str, known: Mapping[str, Package]) -> bool:
    package = known.get(name)
    if package is None or NOT_FOLLOWED.fullmatch(name):
        return False
    return package.section in FOLLOWED_SECTIONS
