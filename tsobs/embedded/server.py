"""Finding the PostgreSQL programs: given, the host's own, cached, or fetched now."""

from __future__ import annotations

import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tsobs.embedded.debian import fetch, is_complete
from tsobs.embedded.host import host_release, suite_for
from tsobs.embedded.places import cache_dir
from tsobs.embedded.process import Progress, ToolFailed, run_tool, silent
from tsobs.errors import SetupError

__all__ = ["Server", "find_local", "find_server", "inspect"]

MINIMUM_MAJOR = 16
MINIMUM_TIMESCALEDB = (2, 19)
PROGRAMS = ("postgres", "initdb", "pg_ctl", "createdb", "psql")
INSTALLED = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "usr/local/pgsql/bin")
FETCHED = "usr/lib/postgresql/*/bin"


@dataclass(frozen=True, slots=True)
class Server:
    """PostgreSQL programs with the TimescaleDB beside them."""

    bin_dir: Path
    major: int
    version: str
    timescaledb: str
    edition: Literal["apache", "community"]

    def __str__(self) -> str:
        edition = self.edition.capitalize()
        return f"PostgreSQL {self.version} with TimescaleDB {self.timescaledb} ({edition} edition)"


def find_server(
    bin_dir: Path | None = None, *, major: int | None = None, progress: Progress = silent
) -> Server:
    """The programs in `bin_dir`, else those of the host, else the cached or fetched ones.

    `major` restricts the search to one major version, that of existing data. Raises SetupError.
    """
    if bin_dir is not None:
        return inspect(bin_dir)
    return _installed(major) or _fetched(progress)


def find_local(*, major: int | None = None) -> Server | None:
    """What `find_server` finds without fetching, or None."""
    if (server := _installed(major)) is not None:
        return server
    cached = _cached_bin_dir()
    with suppress(SetupError):
        return inspect(cached) if cached else None
    return None


def inspect(bin_dir: Path) -> Server:
    """What the programs in `bin_dir` are; raises SetupError when they will not do."""
    for name in PROGRAMS:
        if not (bin_dir / name).exists():
            raise SetupError(f"{bin_dir} is no PostgreSQL server: it has no {name}.")
    try:
        said = run_tool([bin_dir / "postgres", "--version"])
    except (ToolFailed, OSError) as error:
        raise SetupError(f"{bin_dir / 'postgres'} does not run here: {error}") from error
    match = re.search(r"(\d+)(\.\d+|[a-z]+\d+)?", said)
    if match is None or int(match[1]) < MINIMUM_MAJOR:
        raise SetupError(f"{bin_dir} has {said.strip()}; {MINIMUM_MAJOR} or newer is needed.")
    timescaledb = _timescaledb_version(bin_dir, int(match[1]))
    return Server(
        bin_dir=bin_dir.absolute(),
        major=int(match[1]),
        version=match[0],
        timescaledb=timescaledb,
        edition=_edition(bin_dir, timescaledb),
    )


def _timescaledb_version(bin_dir: Path, major: int) -> str:
    prefix = bin_dir.resolve().parent
    shares = [prefix / "share", prefix / "share/postgresql"]
    shares += [parent / f"share/postgresql/{major}" for parent in prefix.parents]
    for share in shares:
        control = share / "extension/timescaledb.control"
        if not control.is_file():
            continue
        match = re.search(r"default_version\s*=\s*'([^']+)'", control.read_text())
        version = match[1] if match else "of an unknown version"
        if _numbers(version)[:2] < MINIMUM_TIMESCALEDB:
            raise SetupError(f"TimescaleDB {version} beside {bin_dir} is too old; 2.19 is needed.")
        return version
    raise SetupError(f"There is no TimescaleDB beside the PostgreSQL in {bin_dir}.")


def _numbers(text: str | Path) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", str(text)))


def _edition(bin_dir: Path, timescaledb: str) -> Literal["apache", "community"]:
    library = f"timescaledb-tsl-{timescaledb}.so"
    places = [bin_dir.resolve().parent / name for name in ("lib", "lib/postgresql", "lib64")]
    return "community" if any((place / library).exists() for place in places) else "apache"


def _installed(major: int | None) -> Server | None:
    for candidate in _installed_bin_dirs():
        with suppress(SetupError):
            server = inspect(candidate)
            if major in (None, server.major):
                return server
    return None


def _installed_bin_dirs() -> Iterator[Path]:
    """Where packages put PostgreSQL, the newest first, then what the PATH says."""
    for pattern in INSTALLED:
        yield from sorted(Path("/").glob(pattern), key=_numbers, reverse=True)
    if shutil.which("pg_config"):
        with suppress(ToolFailed):
            yield Path(run_tool(["pg_config", "--bindir"]).strip())


def _cached_bin_dir() -> Path | None:
    for tree in sorted(cache_dir().glob(f"postgresql-*-{platform.machine()}")):
        if is_complete(tree):
            return _only_bin(tree)
    return None


def _only_bin(tree: Path) -> Path | None:
    return next(iter(tree.glob(FETCHED)), None)


def _fetched(progress: Progress) -> Server:
    cached = _cached_bin_dir()
    if cached is not None:
        try:
            return inspect(cached)
        except SetupError as error:
            # Files that a crash of the machine left empty: the archive has them still.
            progress(f"the cached database does not run ({error}); fetching it again")
            shutil.rmtree(cached.parents[4])
    suite = suite_for(host_release())
    into = cache_dir() / f"postgresql-{suite}-{platform.machine()}"
    bin_dir = _only_bin(
        fetch(["postgresql-*-timescaledb"], suite=suite, into=into, progress=progress)
    )
    if bin_dir is None:
        raise SetupError(f"{into} holds no PostgreSQL; remove that folder and try again.")
    return inspect(bin_dir)
