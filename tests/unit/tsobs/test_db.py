"""The driver's errors become ours: who must act is told by SQLSTATE, never by text."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from tsobs.db import _pieces, _server_settings, translated, translated_setup
from tsobs.errors import InvalidRequest, Overloaded, SetupError, TsobsError

PASSING = [
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.InvalidPasswordError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.DiskFullError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.QueryCanceledError,
    asyncpg.PostgresIOError,
    asyncpg.ReadOnlySQLTransactionError,
]
REFUSED = [
    asyncpg.NumericValueOutOfRangeError,
    asyncpg.InvalidTextRepresentationError,
    asyncpg.CharacterNotInRepertoireError,
    asyncpg.UniqueViolationError,
    asyncpg.CheckViolationError,
    asyncpg.NotNullViolationError,
]
OURS = [
    asyncpg.UndefinedTableError,
    asyncpg.PostgresSyntaxError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.LockNotAvailableError,
    asyncpg.InternalServerError,
]
AWAY = [
    OSError("refused"),
    ConnectionResetError(),
    TimeoutError(),
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.InternalClientError("in the middle"),
]


@pytest.mark.parametrize("kind", PASSING)
def test_what_passes_by_itself_is_tried_again(kind: type[asyncpg.PostgresError]) -> None:
    with pytest.raises(Overloaded) as caught, translated():
        raise kind("text")
    assert caught.value.details == {"sqlstate": kind.sqlstate}
    assert caught.value.retry_after_s > 0
    assert isinstance(caught.value.__cause__, kind)


@pytest.mark.parametrize("kind", REFUSED)
def test_bad_data_is_the_senders_fault(kind: type[asyncpg.PostgresError]) -> None:
    with pytest.raises(InvalidRequest, match=kind.sqlstate), translated():
        raise kind("text")


@pytest.mark.parametrize("kind", OURS)
def test_the_rest_is_ours(kind: type[asyncpg.PostgresError]) -> None:
    with pytest.raises(TsobsError, match=kind.sqlstate) as caught, translated():
        raise kind("text")
    assert type(caught.value) is TsobsError


@pytest.mark.parametrize("error", AWAY, ids=repr)
def test_a_server_that_is_away(error: Exception) -> None:
    with pytest.raises(Overloaded, match="away"), translated():
        raise error


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), asyncio.CancelledError()])
def test_what_is_not_the_drivers_goes_through(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, translated():
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (asyncpg.InvalidCatalogNameError('database "x" does not exist'), "create the database"),
        (asyncpg.InvalidPasswordError("no"), "correct the user or password"),
        (asyncpg.InvalidAuthorizationSpecificationError("no"), "correct the user or password"),
        (asyncpg.InvalidParameterValueError('role "x" does not exist'), "run `tsobs migrate`"),
        (asyncpg.InsufficientPrivilegeError("denied to set role"), "grant the role to the user"),
        (asyncpg.ClientConfigurationError("no scheme"), "DATABASE_URL cannot be read: no scheme"),
        (ValueError("Invalid IPv6 URL"), "DATABASE_URL cannot be read: Invalid IPv6 URL"),
    ],
)
def test_opening_tells_the_operator_what_to_do(error: Exception, message: str) -> None:
    with pytest.raises(SetupError, match=message), translated_setup():
        raise error


def test_opening_a_server_that_is_away_is_no_setup_error() -> None:
    for error in (OSError("refused"), asyncpg.CannotConnectNowError("starting up")):
        with pytest.raises(Overloaded), translated_setup():
            raise error


def test_every_session_speaks_utc() -> None:
    settings = _server_settings(None, "tsobs")
    assert settings["timezone"] == "UTC"
    assert "role" not in settings
    assert _server_settings("tsobs_query", "tsobs")["role"] == "tsobs_query"


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 40])
async def test_copy_data_is_cut_and_whole(size: int) -> None:
    data = bytes(range(size))
    pieces = [bytes(piece) async for piece in _pieces(data, 8)]
    assert b"".join(pieces) == data
    assert all(0 < len(piece) <= 8 for piece in pieces)
