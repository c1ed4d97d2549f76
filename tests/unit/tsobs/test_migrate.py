"""What can be said of migrations without a database: their names, order, checksums, messages."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, cast

import asyncpg
import pytest

from tsobs import migrate
from tsobs.errors import SetupError
from tsobs.sqlfiles import query, sql_root


class Version(NamedTuple):
    """As the driver tells it."""

    major: int


class Server:
    """The answers of a server that no test has at hand."""

    def __init__(self, major: int, timescaledb: str | None, *, is_loaded: bool = True) -> None:
        self._major = major
        self._answers: dict[str, Any] = {
            query("timescaledb_available"): timescaledb,
            query("timescaledb_is_loaded"): is_loaded,
        }

    def get_server_version(self) -> Version:
        """PostgreSQL's version."""
        return Version(self._major)

    async def fetchval(self, statement: str) -> Any:
        """One of the questions that are asked before anything is done."""
        return self._answers[statement]


@pytest.mark.parametrize(
    ("server", "message"),
    [
        (Server(15, "2.29.0"), r"PostgreSQL 16 or newer is needed, this server is 15"),
        (Server(16, None), r"no TimescaleDB: install it .*postgresql-17-timescaledb.*tsobs db"),
        (Server(16, "2.18.2"), r"TimescaleDB 2\.19 or newer is needed, this server has 2\.18\.2"),
        (Server(16, "1.7.5"), r"TimescaleDB 2\.19 or newer"),
        (Server(17, "2.29.0", is_loaded=False), r"add timescaledb to shared_preload_libraries"),
    ],
)
async def test_a_server_that_will_not_do(server: Server, message: str) -> None:
    with pytest.raises(SetupError, match=message):
        await migrate._check_server(cast("asyncpg.Connection[asyncpg.Record]", server))


@pytest.mark.parametrize("version", ["2.19.0", "2.19.3-dev", "2.30.0-dev", "3.0.0"])
async def test_a_server_that_will_do(version: str) -> None:
    server = Server(16, version)
    await migrate._check_server(cast("asyncpg.Connection[asyncpg.Record]", server))


def test_names_and_order() -> None:
    scripts = migrate.migrate_scripts()
    names = [script.name for script in scripts]
    assert names[0] == migrate.FIRST
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    assert all(re.fullmatch(r"\d{4}_[a-z0-9_]+\.sql", name) for name in names)


def test_grants_come_after_all_they_grant() -> None:
    text = migrate.replaceable_script().text
    assert text.index("grant select") > text.rindex("create or replace view")
    assert text.index("create or replace view") > text.rindex("create or replace function")


def test_what_is_replaced_can_be_replaced() -> None:
    """`create` without `or replace` would fail the second time."""
    assert not re.findall(r"(?im)^create (?!or replace)", migrate.replaceable_script().text)


def test_migrations_say_nothing_about_transactions() -> None:
    """Each runs in one, with the record of it."""
    for path in (sql_root() / "migrations").glob("*.sql"):
        assert not re.search(r"(?im)^\s*(begin|commit|rollback|savepoint)\b.*;", path.read_text())


def test_a_checksum_is_of_the_text() -> None:
    first, *_ = migrate.migrate_scripts()
    assert first.checksum == migrate._checksum(first.text)
    assert first.checksum != migrate._checksum(first.text + "\n")


def test_histories() -> None:
    held = {script.name: script.checksum for script in migrate.migrate_scripts()}
    migrate._check_history({})
    migrate._check_history(held)
    migrate._check_history(held | {migrate.REPLACEABLE_NAME: "of another version"})
    with pytest.raises(SetupError, match="newer than this tsobs"):
        migrate._check_history(held | {"0999_later.sql": "x"})
    with pytest.raises(SetupError, match="is not the one that this database has had"):
        migrate._check_history(held | {migrate.FIRST: "x"})
