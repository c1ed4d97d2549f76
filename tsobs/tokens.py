"""Bearer tokens: made, listed, revoked, found; only their SHA-256 is ever stored."""

from __future__ import annotations

import datetime
import hashlib
import re
import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

from tsobs.db import Database
from tsobs.errors import NotFound, ValidationError
from tsobs.routes import Scope

__all__ = ["NewToken", "StoredToken", "TokenStore", "digest"]

PREFIX = "tsobs_"  # so that secret scanners can recognise one
SECRET_BYTES = 32
_TEXT = re.compile(r"[^\x00-\x1f\x7f]{1,255}")
_MAX_LIFE_S = 100 * 365 * 86400.0


class NewToken(NamedTuple):
    """What a token shall be; a bound (node, cluster, user) narrows what it may do."""

    name: str
    scopes: Sequence[Scope]
    node: str | None = None
    cluster: str | None = None
    user: str | None = None
    expires_in_s: float | None = None


class StoredToken(NamedTuple):
    """One token as it is kept, without its secret."""

    id: int
    name: str
    scopes: tuple[Scope, ...]
    node: str | None
    cluster: str | None
    user: str | None
    created_at: datetime.datetime
    expires_at: datetime.datetime | None
    revoked_at: datetime.datetime | None
    last_used_at: datetime.datetime | None

    def state(self, now: datetime.datetime) -> str:
        """active, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        expired = self.expires_at is not None and self.expires_at <= now
        return "expired" if expired else "active"


def digest(secret: str) -> bytes:
    """What is stored and looked up in place of the secret."""
    return hashlib.sha256(secret.encode()).digest()


class TokenStore:
    """The tokens of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, wanted: NewToken) -> tuple[StoredToken, str]:
        """Makes a token; the secret exists only in the answer. Raises ValidationError."""
        _check(wanted)
        secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        scopes = [scope.value for scope in dict.fromkeys(wanted.scopes)]
        row = await self._database.fetchrow(
            "create_token",
            digest(secret),
            wanted.name,
            scopes,
            wanted.node,
            wanted.cluster,
            wanted.user,
            wanted.expires_in_s,
        )
        return _stored(row), secret

    async def list(self) -> list[StoredToken]:
        """Every token, revoked and expired ones too, oldest first."""
        return [_stored(row) for row in await self._database.fetch("list_tokens")]

    async def revoke(self, token_id: int) -> str:
        """Makes a token useless for good; returns its name or raises NotFound."""
        return await self._by_id("revoke_token", token_id)

    async def delete(self, token_id: int) -> str:
        """Forgets a token; returns its name or raises NotFound."""
        return await self._by_id("delete_token", token_id)

    async def count(self) -> tuple[int, int]:
        """How many tokens there are, and how many of them are active."""
        row = await self._database.fetchrow("count_tokens")
        return (row["known"], row["active"]) if row else (0, 0)

    async def _by_id(self, statement: str, token_id: int) -> str:
        name = await self._database.fetchval(statement, token_id)
        if name is None:
            raise NotFound(f"there is no token {token_id}: `tsobs token list` shows them")
        return str(name)


def _stored(row: Any) -> StoredToken:
    return StoredToken(
        id=row["id"],
        name=row["name"],
        scopes=tuple(Scope(scope) for scope in row["scopes"]),
        node=row["node"],
        cluster=row["cluster"],
        user=row["user_name"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
    )


def _check(wanted: NewToken) -> None:
    for field, value in (
        ("name", wanted.name),
        ("node", wanted.node),
        ("cluster", wanted.cluster),
        ("user", wanted.user),
    ):
        if value is not None and not _TEXT.fullmatch(value):
            raise ValidationError(f"{field} must be 1 to 255 printable characters", field=field)
    scopes = set(wanted.scopes)
    if not scopes or Scope.PUBLIC in scopes:
        raise ValidationError("a token needs one scope at least; public needs no token")
    if wanted.expires_in_s is not None and not 0 < wanted.expires_in_s <= _MAX_LIFE_S:
        raise ValidationError("a token must expire in the future, within 100 years")
    _check_bounds(wanted, scopes)


def _check_bounds(wanted: NewToken, scopes: set[Scope]) -> None:
    """A bound that a scope would not heed must not be taken for a protection."""
    if Scope.ADMIN in scopes and (wanted.node or wanted.cluster or wanted.user):
        raise ValidationError("an admin token may do everything: it cannot be bound")
    if wanted.node and not scopes <= {Scope.AGENT, Scope.EVENTS}:
        raise ValidationError("only tokens of scope agent and events can be bound to a node")
    if wanted.user and scopes != {Scope.READ}:
        raise ValidationError("only tokens of scope read alone can be bound to a user")
