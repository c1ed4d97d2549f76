"""A catalog snapshot, a copy of `sql/` that a test may change, and a server of the tests' own."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest

from tsobs import migrate as migrating
from tsobs.embedded import Cluster
from tsobs.sqlfiles import sql_root

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Catalog: TypeAlias = dict[str, list[tuple[Any, ...]]]

SCHEMAS = ["tsobs", "tsobs_store"]
# What a schema is made of, by names alone: no oids, no times.
CATALOG = {
    "relations": """
        select c.oid::regclass::text, relkind, relowner::regrole::text, reloptions::text,
            relacl::text, obj_description(c.oid), pg_get_viewdef(c.oid)
        from pg_class c where relnamespace = any($1::regnamespace[]) and relkind not in ('i', 'S')
    """,
    "columns": """
        select attrelid::regclass::text, attnum, attname, format_type(atttypid, atttypmod),
            attnotnull, attidentity, attacl::text, pg_get_expr(adbin, adrelid)
        from pg_attribute join pg_class c on c.oid = attrelid
        left join pg_attrdef on adrelid = attrelid and adnum = attnum
        where relnamespace = any($1::regnamespace[]) and attnum > 0 and not attisdropped
    """,
    "indexes": """
        select pg_get_indexdef(indexrelid) from pg_index join pg_class c on c.oid = indrelid
        where relnamespace = any($1::regnamespace[])
    """,
    "constraints": """
        select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint
        where connamespace = any($1::regnamespace[])
    """,
    "functions": """
        select oid::regprocedure::text, pg_get_functiondef(oid), proowner::regrole::text,
            proacl::text
        from pg_proc where pronamespace = any($1::regnamespace[])
    """,
    "hypertables": """
        select hypertable_name, column_name, time_interval from timescaledb_information.dimensions
        where cardinality($1::regnamespace[]) > 0
    """,
    "migrations": """
        select name, checksum from tsobs_store.migration where cardinality($1::regnamespace[]) > 0
    """,
}


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    """A connection of the URL's user."""
    connection: Connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


def unnumbered(row: Iterable[Any]) -> tuple[Any, ...]:
    """Without the numbers that TimescaleDB puts into its own names: a failed try uses some up."""
    return tuple(
        re.sub(r"(_hypertable_|_view_|cagg_watermark\()\d+", r"\1", value)
        if isinstance(value, str)
        else value
        for value in row
    )


@pytest.fixture
def catalog() -> Callable[[str], Awaitable[Catalog]]:
    """What is in the two schemas of a database."""

    async def read(url: str) -> Catalog:
        async with connected(url) as connection:
            return {
                kind: sorted(
                    (unnumbered(row) for row in await connection.fetch(statement, SCHEMAS)),
                    key=repr,
                )
                for kind, statement in CATALOG.items()
            }

    return read


@pytest.fixture
def sql_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `sql/` that migrations are read from."""
    copied = tmp_path / "sql"
    shutil.copytree(sql_root(), copied)
    monkeypatch.setattr(migrating, "sql_root", lambda: copied)
    return copied


@pytest.fixture(scope="module")
def fresh_server() -> Iterator[Cluster]:
    """A server that has never seen tsobs: roles belong to a server, not to a database."""
    given = os.environ.get("TSOBS_TEST_PG_BIN")
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="tsobs-migration-", dir=place) as name:
        folder = Path(name)
        folder.chmod(0o755)  # as root, the server runs as another user
        cluster = Cluster(folder, Path(given) if given else None, durable=False)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
