"""One middleware turns a request's bearer token into a Viewer and checks the route's scope."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from tsobs.db import Database, open_database
from tsobs.errors import Forbidden, SetupError, Unauthorized
from tsobs.origin import check_browser
from tsobs.routes import Route, Scope
from tsobs.settings import Settings
from tsobs.tokencache import TTL_S, TokenCache
from tsobs.tokens import TokenStore
from tsobs.viewer import ANONYMOUS, EVERYBODY, VIEWER, Viewer

__all__ = ["VIEWER", "Access", "Viewer", "access_middleware", "open_access"]

CONNECTIONS = 2  # lookups are rare: a token is remembered for seconds
_BEARER = re.compile(r"bearer +(?P<secret>[A-Za-z0-9._~+/=-]{1,512})", re.IGNORECASE)

_log = logging.getLogger(__name__)


class Access:
    """Who a request comes from.

    Without any token, a service on loopback (or started with `insecure`) takes everyone for an
    all-scope viewer; the first token, even if it has expired since, ends that for good.
    """

    def __init__(
        self, tokens: TokenCache, *, loopback: bool, insecure: bool, cors_origin: str | None = None
    ) -> None:
        self._tokens = tokens
        self._loopback = loopback
        self._may_be_open = loopback or insecure
        self._cors_origin = cors_origin

    @property
    def database(self) -> Database:
        """Where the tokens are; any process of the service has it."""
        return self._tokens.database

    async def viewer(self, request: web.Request) -> Viewer:
        """The viewer behind a request; raises Unauthorized, Forbidden or Overloaded."""
        if self._may_be_open and not await self._tokens.any_token():
            check_browser(request, loopback=self._loopback, allowed_origin=self._cors_origin)
            return EVERYBODY
        given = request.headers.getall("Authorization", [])
        if not given:
            raise Unauthorized("a token is needed: send `Authorization: Bearer <token>`")
        match = _BEARER.fullmatch(given[0].strip())
        if len(given) != 1 or match is None:
            raise Unauthorized("the Authorization header must be `Bearer <token>`")
        return await self._tokens.viewer(match["secret"])


def access_middleware(access: Access, routes: Sequence[Route]) -> Middleware:
    """Checks each request against the scope table before its handler sees it."""
    scopes = {(route.method, route.path): route.scope for route in routes}

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        scope = _scope_needed(request, scopes)
        if scope is Scope.PUBLIC:
            request[VIEWER] = ANONYMOUS
            return await handler(request)
        viewer = await access.viewer(request)
        if scope is not None and not viewer.may(scope):
            raise Forbidden(f"token {viewer.name} lacks the scope {scope.value}", scope=scope.value)
        request[VIEWER] = viewer
        return await handler(request)

    return check


def _scope_needed(request: web.Request, scopes: dict[tuple[str, str], Scope]) -> Scope | None:
    """The route's scope, or None where any token will do: what follows is a 404, 405 or OPTIONS."""
    resource = request.match_info.route.resource
    if resource is None:
        return None
    method = "GET" if request.method == "HEAD" else request.method
    return scopes.get((method, resource.canonical))


@asynccontextmanager
async def open_access(
    settings: Settings, *, loopback: bool, remember_s: float = TTL_S
) -> AsyncIterator[Access]:
    """Access over the database's tokens; refuses to serve other machines without any token.

    A revoked token works for up to `remember_s` seconds more.
    """
    if settings.database_url is None:
        raise SetupError("database_url is not set")
    async with open_database(
        settings.database_url, role="tsobs_query", size=CONNECTIONS, application_name="tsobs access"
    ) as database:
        known, active = await TokenStore(database).count()
        if not known and not loopback and not settings.insecure:
            raise SetupError(
                f"host {settings.host} can be reached from other machines and there is no token. "
                "Create one first (tsobs token create --name agents --scope agent), listen on "
                "127.0.0.1, or say --insecure to let everyone in"
            )
        if not known and not loopback:
            _log.warning("insecure: whoever reaches this port may do everything")
        if known and not active:
            _log.warning("every token has expired or was revoked: nobody can get in")
        yield Access(
            TokenCache(database, ttl_s=remember_s),
            loopback=loopback,
            insecure=settings.insecure,
            cors_origin=settings.cors_origin,
        )
