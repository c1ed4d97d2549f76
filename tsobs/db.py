"""The database as the services see it: a pool, statements by name, and errors of our own tree."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg

from tsobs.errors import InvalidRequest, Overloaded, SetupError, TsobsError
from tsobs.sqlfiles import query

__all__ = ["Connection", "Database", "Record", "connect", "open_database", "translated"]

Record = asyncpg.Record

# A connection that does not answer within this is taken for lost.
CONNECT_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 60.0
RETRY_AFTER_S = 2.0

# SQLSTATE classes that pass by themselves or are not the sender's to mend: connection, login (a
# password is being changed, or another server has the address), rollback (deadlock), resources
# (disk, memory, connections), operator intervention (shutdown, crash recovery), system errors.
_PASSING = ("08", "28", "40", "53", "57", "58")
_READ_ONLY = "25006"  # a primary that became a standby
# Data that no column can take, or that a constraint forbids: the same data will fail again.
_BAD_DATA = ("22", "23")


@contextmanager
def translated() -> Iterator[None]:
    """Turns the driver's errors into ours; what passes by itself becomes Overloaded."""
    try:
        yield
    except asyncpg.PostgresError as error:
        state = error.sqlstate or ""
        if state[:2] in _PASSING or state == _READ_ONLY:
            raise Overloaded(
                f"the database cannot take this now ({state})",
                retry_after_s=RETRY_AFTER_S,
                sqlstate=state,
            ) from error
        if state[:2] in _BAD_DATA:
            raise InvalidRequest(f"the database refuses the data ({state})") from error
        raise TsobsError(f"database error {state}: {error}") from error
    except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        # InternalClientError: the server's last word (it is being shut down) came between two
        # statements.
        raise Overloaded("the database is away", retry_after_s=RETRY_AFTER_S) from error


class Connection:
    """One connection inside a transaction; statements are named in `sql/queries`."""

    def __init__(self, raw: asyncpg.Connection[Record]) -> None:
        self._raw = raw

    async def fetch(self, name: str, *args: Any) -> list[Record]:
        """All rows of a named statement."""
        return await self._raw.fetch(query(name), *args)

    async def fetchrow(self, name: str, *args: Any) -> Record | None:
        """The first row, or None."""
        return await self._raw.fetchrow(query(name), *args)

    async def fetchval(self, name: str, *args: Any) -> Any:
        """The first column of the first row."""
        return await self._raw.fetchval(query(name), *args)

    async def execute(self, name: str, *args: Any) -> None:
        """Runs a named statement for its effect."""
        # Not the driver's execute(): without arguments that has the server parse and plan anew each
        # time.
        await self._raw.fetch(query(name), *args)

    async def copy_binary(
        self, table: str, data: bytes, *, columns: Sequence[str], schema: str | None = None
    ) -> None:
        """Sends prepared binary COPY data as it is."""
        await self._raw.copy_to_table(
            table,
            source=_pieces(data),
            columns=list(columns),
            schema_name=schema,
            format="binary",
        )

    async def copy_records(
        self,
        table: str,
        records: Sequence[tuple[Any, ...]],
        *,
        columns: Sequence[str],
        schema: str | None = None,
    ) -> None:
        """Sends rows of Python values, which the driver encodes: for few rows of many shapes."""
        await self._raw.copy_records_to_table(
            table, records=records, columns=list(columns), schema_name=schema
        )


async def _pieces(data: bytes, size: int = 1 << 20) -> AsyncIterator[bytes]:
    """Cuts a large buffer so that the event loop gets its turn; asyncpg takes bytes for a path."""
    view = memoryview(data)
    for start in range(0, len(view), size):
        yield view[start : start + size]  # type: ignore[misc]
        if start + size < len(view):
            await asyncio.sleep(0)


class Database:
    """A pool of connections that all play one role."""

    def __init__(self, pool: asyncpg.Pool[Record]) -> None:
        self.pool = pool

    async def fetch(self, name: str, *args: Any) -> list[Record]:
        """All rows of a named statement, in a transaction of its own."""
        with translated():
            return await self.pool.fetch(query(name), *args)

    async def fetchrow(self, name: str, *args: Any) -> Record | None:
        """The first row, or None."""
        with translated():
            return await self.pool.fetchrow(query(name), *args)

    async def fetchval(self, name: str, *args: Any) -> Any:
        """The first column of the first row."""
        with translated():
            return await self.pool.fetchval(query(name), *args)

    async def execute(self, name: str, *args: Any) -> None:
        """Runs a named statement for its effect."""
        with translated():
            await self.pool.fetch(query(name), *args)

    @asynccontextmanager
    async def transaction(self, *, readonly: bool = False) -> AsyncIterator[Connection]:
        """One connection in one transaction; `readonly` also gives it one snapshot for all
        statements."""
        with translated():
            async with (
                self.pool.acquire() as raw,
                raw.transaction(
                    isolation="repeatable_read" if readonly else "read_committed",
                    readonly=readonly,
                ),
            ):
                yield Connection(raw)  # type: ignore[arg-type]


def _server_settings(role: str | None, application_name: str) -> dict[str, str]:
    # Startup settings outlive the pool's RESET ALL; a SET from `init` would be gone after one use.
    settings = {"application_name": application_name, "timezone": "UTC", "jit": "off"}
    return settings | ({"role": role} if role else {})


@asynccontextmanager
async def open_database(
    url: str,
    *,
    role: str | None = None,
    size: int = 10,
    application_name: str = "tsobs",
    prepare: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Database]:
    """A pool of up to `size` connections that play `role`; each runs the statements named in
    `prepare` first.
    Raises Overloaded when the server is away."""

    async def init(connection: asyncpg.Connection[Record]) -> None:
        for name in prepare:
            await connection.execute(query(name))

    with translated_setup():
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=COMMAND_TIMEOUT_S,
            max_inactive_connection_lifetime=300,
            init=init,
            server_settings=_server_settings(role, application_name) | dict(settings or {}),
        )
    try:
        yield Database(pool)
    finally:
        try:
            await asyncio.wait_for(pool.close(), CONNECT_TIMEOUT_S)
        except TimeoutError:
            pool.terminate()


@asynccontextmanager
async def connect(
    url: str, *, application_name: str = "tsobs"
) -> AsyncIterator[asyncpg.Connection[Record]]:
    """One plain connection as the URL's own user, for migrations and administration."""
    with translated_setup():
        connection = await asyncpg.connect(
            url,
            timeout=CONNECT_TIMEOUT_S,
            server_settings=_server_settings(None, application_name),
        )
    try:
        yield connection
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_S)


@contextmanager
def translated_setup() -> Iterator[None]:
    """While opening: what the operator must put right is a SetupError, the rest as `translated`."""
    try:
        with translated():
            yield
    except TsobsError as error:
        cause = error.__cause__
        if isinstance(cause, asyncpg.InvalidCatalogNameError):
            raise SetupError(f"{cause}: create the database, or correct DATABASE_URL") from cause
        if isinstance(cause, asyncpg.InvalidAuthorizationSpecificationError):
            raise SetupError(f"{cause}: correct the user or password in DATABASE_URL") from cause
        if isinstance(
            cause, asyncpg.InvalidParameterValueError | asyncpg.InsufficientPrivilegeError
        ):
            raise SetupError(
                f"{cause}: run `tsobs migrate`, or grant the role to the user in DATABASE_URL"
            ) from cause
        if isinstance(cause, asyncpg.ClientConfigurationError):
            raise SetupError(f"DATABASE_URL cannot be read: {cause}") from cause
        raise
    except ValueError as error:
        raise SetupError(f"DATABASE_URL cannot be read: {error}") from error
