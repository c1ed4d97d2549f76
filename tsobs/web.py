"""The web application: routes joined with their handlers, and what every request passes through."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from aiohttp import web
from aiohttp.typedefs import Handler as NextHandler
from aiohttp.typedefs import Middleware

from tsobs.access import Access, access_middleware
from tsobs.answers import error_response, json_response
from tsobs.errors import NotFound, Overloaded, SetupError, TooLarge, TsobsError
from tsobs.log import CORRELATION_ID
from tsobs.origin import answer_preflight, mark_cors
from tsobs.routes import Route
from tsobs.selfmetrics import HttpMetrics
from tsobs.settings import Settings

__all__ = ["CORRELATION", "Handler", "Handlers", "json_response", "make_app"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
# What a service offers, by method and path as in tsobs.routes.
Handlers = Mapping[tuple[str, str], Handler]

# The id that a caller gave its request, or the one made for it; kept with what the request changes.
CORRELATION = web.RequestKey("correlation", str)
# What the log and the metrics say of a request whose client did not wait for the answer.
CLIENT_GONE = 499
_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")

_log = logging.getLogger(__name__)


def make_app(
    handlers: Handlers,
    routes: Sequence[Route],
    *,
    access: Access,
    metrics: HttpMetrics,
    settings: Settings,
    elsewhere: Sequence[Route] = (),
) -> web.Application:
    """An application that answers exactly `routes`, and of those `elsewhere` who answers them; a
    SetupError names what does not match."""
    _check_complete(handlers, routes)
    queues = frozenset(route.path for route in routes if route.is_queue)
    app = web.Application(
        middlewares=[
            _observe(metrics, settings, queues),
            _preflight(settings.cors_origin),
            access_middleware(access, [*routes, *elsewhere]),
        ],
        # Bodies arrive as sent: who decompresses them also bounds what comes out.
        client_max_size=settings.max_body_bytes,
    )
    methods: dict[str, list[str]] = {}
    for route in routes:
        handler = _as_function(handlers[route.method, route.path])
        for method in ("GET", "HEAD") if route.method == "GET" else (route.method,):
            app.router.add_route(method, _pattern(route.path), handler)
            methods.setdefault(route.path, []).append(method)
    for route in elsewhere:
        app.router.add_route(route.method, _pattern(route.path), _told_elsewhere(route))
    for path, allowed in methods.items():
        app.router.add_route("OPTIONS", _pattern(path), _options([*allowed, "OPTIONS"]))
    app.on_response_prepare.append(_sign(settings.cors_origin))
    return app


def _pattern(path: str) -> str:
    """A path for the router, whose own idea of an id has no braces in it."""
    return path.replace("{id}", "{id:[^/]+}")


def _check_complete(handlers: Handlers, routes: Sequence[Route]) -> None:
    declared = {(route.method, route.path) for route in routes}
    problems = [f"{' '.join(key)} has no handler" for key in sorted(declared - set(handlers))]
    problems += [f"{' '.join(key)} has no route" for key in sorted(set(handlers) - declared)]
    if problems:
        raise SetupError(f"tsobs.routes and the handlers differ: {'; '.join(problems)}")


def _as_function(handler: Handler) -> Handler:
    """aiohttp takes an object with an async `__call__` for a handler that is not async."""

    async def call(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    return call


def _told_elsewhere(route: Route) -> Handler:
    role = min(route.roles - {"all"})

    async def answer(request: web.Request) -> web.StreamResponse:
        raise NotFound(
            f"{route.method} {route.path} is for processes of role {role}, which this is not",
            role=role,
        )

    return answer


def _options(allowed: Sequence[str]) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=204, headers={"Allow": ", ".join(sorted(allowed))})

    return answer


def _sign(
    allowed_origin: str | None,
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    async def sign(request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Server"] = "tsobs"
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        if correlation_id := request.get(CORRELATION):
            response.headers["X-Correlation-Id"] = correlation_id
        mark_cors(request, response, allowed_origin)

    return sign


def _observe(metrics: HttpMetrics, settings: Settings, queues: Collection[str]) -> Middleware:
    """Outermost: correlation id, time limit, errors as answers, and the request's metrics.
    `queues` are the paths of such routes."""

    @web.middleware
    async def observe(request: web.Request, handler: NextHandler) -> web.StreamResponse:
        given = request.headers.get("X-Correlation-Id", "")
        request[CORRELATION] = given if _CORRELATION_ID.fullmatch(given) else secrets.token_hex(16)
        token = CORRELATION_ID.set(request[CORRELATION])
        started = time.perf_counter()
        route = _route_name(request)
        status = CLIENT_GONE  # or the service stops: nobody is left to answer
        try:
            with metrics.in_flight.track_inprogress():
                response = await _answer(request, handler, settings, route in queues)
                status = response.status
                return response
        finally:
            duration_s = time.perf_counter() - started
            method = request.method if route != "other" else "other"
            metrics.note(method, route, status, duration_s)
            _log.debug("%s %s %d in %.3f s", request.method, request.path, status, duration_s)
            CORRELATION_ID.reset(token)

    return observe


def _route_name(request: web.Request) -> str:
    """The path as declared: what clients make up must not become label values."""
    resource = request.match_info.route.resource
    return "other" if resource is None else resource.canonical


async def _answer(
    request: web.Request, handler: NextHandler, settings: Settings, is_queue: bool
) -> web.StreamResponse:
    try:
        if not is_queue and (request.content_length or 0) > settings.max_body_bytes:
            raise TooLarge(
                f"the body has {request.content_length} bytes and {settings.max_body_bytes} "
                "are allowed",
                max_body_bytes=settings.max_body_bytes,
            )
        return await _in_time(request, handler, settings.request_timeout_s, is_queue)
    except (TsobsError, web.HTTPException, web.RequestPayloadError) as error:
        return _answer_error(request, error)
    except ConnectionResetError as error:
        if request.transport is not None and not request.transport.is_closing():
            return _answer_error(request, error)
        _log.info("%s %s broke off: the client went away", request.method, request.path)
        return web.Response(status=CLIENT_GONE)
    except Exception as error:
        if request.writer.output_size > 0:
            raise  # half an answer is out already: only cutting the connection tells the client
        return _answer_error(request, error)


async def _in_time(
    request: web.Request, handler: NextHandler, timeout_s: float, is_queue: bool
) -> web.StreamResponse:
    limit = asyncio.timeout(timeout_s)
    try:
        async with limit:
            return await handler(request)
    except TimeoutError:
        if not limit.expired():
            raise
        if not is_queue and request.body_exists and not request.content.at_eof():
            raise web.HTTPRequestTimeout from None
        raise Overloaded(f"no answer within {timeout_s:g} s", retry_after_s=5.0) from None


def _answer_error(request: web.Request, error: Exception) -> web.Response:
    if isinstance(error, web.RequestPayloadError):
        error = web.HTTPBadRequest(reason="the body broke off or is malformed")
    response = error_response(error, correlation_id=request[CORRELATION])
    if response.status == 500:
        _log.error("%s %s failed", request.method, request.path, exc_info=error)
    elif response.status == 503:
        _log.warning("%s %s refused: %s", request.method, request.path, error)
    else:
        _log.info("%s %s refused: %s", request.method, request.path, error)
    return response


def _preflight(allowed_origin: str | None) -> Middleware:
    @web.middleware
    async def preflight(request: web.Request, handler: NextHandler) -> web.StreamResponse:
        return answer_preflight(request, allowed_origin) or await handler(request)

    return preflight
