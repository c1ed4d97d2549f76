"""Brings a database's schema to this version: forward only, checksummed, one runner at a time."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import asyncpg

from tsobs import __version__
from tsobs.db import Record, connect, translated
from tsobs.errors import SetupError
from tsobs.sqlfiles import query, sql_root

__all__ = ["check_schema", "migrate"]

# Files that are replaced as a whole, in this order, whenever one of them changed.
REPLACEABLE = ("functions", "views")
REPLACEABLE_NAME = "functions and views"
# Migrations after this one, and the replaceable files, run as the owner.
FIRST = "0001_schemas.sql"


class Script(NamedTuple):
    """One SQL file and the checksum of its text."""

    name: str
    text: str
    checksum: str


def migrate_scripts() -> list[Script]:
    """The numbered migrations, in order."""
    return [_script(path) for path in sorted((sql_root() / "migrations").glob("*.sql"))]


def replaceable_script() -> Script:
    """All functions and views as one script; grants come last."""
    paths = [path for folder in REPLACEABLE for path in sorted((sql_root() / folder).glob("*.sql"))]
    paths.sort(key=lambda path: path.name == "grants.sql")
    text = "\n".join(path.read_text() for path in paths)
    return Script(REPLACEABLE_NAME, text, _checksum(text))


async def migrate(url: str) -> list[str]:
    """Applies what is missing and returns its names; raises SetupError with what to do."""
    async with connect(url, application_name="tsobs migrate") as connection:
        with translated():
            await _check_server(connection)
            await connection.execute(query("lock_migrations"))
            held = await _applied(connection)
            _check_history(held)
            return await _apply(connection, held)


async def check_schema(url: str) -> None:
    """Raises SetupError unless the database has exactly this version's schema."""
    async with connect(url) as connection:
        with translated():
            held = await _applied(connection)
    _check_history(held)
    wanted = [*migrate_scripts(), replaceable_script()]
    if [s.name for s in wanted if held.get(s.name) != s.checksum]:
        raise SetupError(
            "the database's schema is not this version's: run `tsobs migrate`, "
            "or start with `tsobs serve --migrate`"
        )


def _script(path: Path) -> Script:
    text = path.read_text()
    return Script(path.name, text, _checksum(text))


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def _check_server(connection: asyncpg.Connection[Record]) -> None:
    version = connection.get_server_version()
    if version.major < 16:
        raise SetupError(f"PostgreSQL 16 or newer is needed, this server is {version.major}")
    available = await connection.fetchval(query("timescaledb_available"))
    if available is None:
        raise SetupError(
            "the server has no TimescaleDB: install it (Debian 13: postgresql-17-timescaledb), "
            "or use the embedded database (`tsobs db start`)"
        )
    if tuple(int(part) for part in available.split("-")[0].split(".")[:2]) < (2, 19):
        raise SetupError(f"TimescaleDB 2.19 or newer is needed, this server has {available}")
    # Making the extension would end the connection with it, and look as if the server were away.
    if not await connection.fetchval(query("timescaledb_is_loaded")):
        raise SetupError(
            "the server has TimescaleDB, but has not loaded it: add timescaledb to "
            "shared_preload_libraries in postgresql.conf and restart the server"
        )


async def _applied(connection: asyncpg.Connection[Record]) -> dict[str, str]:
    """Checksums by name of what the database has had."""
    if not await connection.fetchval(query("has_migration_table")):
        return {}
    rows = await connection.fetch(query("list_migrations"))
    return {row["name"]: row["checksum"] for row in rows}


def _check_history(held: dict[str, str]) -> None:
    known = {script.name: script.checksum for script in migrate_scripts()}
    for name, checksum in held.items():
        if name == REPLACEABLE_NAME:
            continue
        if name not in known:
            raise SetupError(
                f"the database's schema is newer than this tsobs {__version__} "
                f"(it has had {name}): upgrade tsobs"
            )
        if known[name] != checksum:
            raise SetupError(
                f"migration {name} is not the one that this database has had: "
                "install an unmodified tsobs of the version that wrote it"
            )


async def _apply(connection: asyncpg.Connection[Record], held: dict[str, str]) -> list[str]:
    done: list[str] = []
    for script in [*migrate_scripts(), replaceable_script()]:
        if held.get(script.name) == script.checksum:
            continue
        try:
            async with connection.transaction():
                if script.name != FIRST:
                    await connection.execute(query("become_owner"))
                await connection.execute(script.text)
                await connection.execute(
                    query("record_migration"), script.name, script.checksum, __version__
                )
        except asyncpg.PostgresError as error:
            raise _refused(script, error) from error
        done.append(script.name)
    return done


def _refused(script: Script, error: asyncpg.PostgresError) -> SetupError:
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return SetupError(
            f"{script.name}: {error.args[0].rstrip('.')}. Migrate as a superuser, or as a role "
            "with CREATEROLE that owns the database, after a superuser ran: "
            "create extension timescaledb"
        )
    return SetupError(f"{script.name} could not be applied: {error}")
