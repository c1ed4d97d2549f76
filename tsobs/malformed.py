"""Answers what is no HTTP in JSON, too: such requests never reach the application."""

from __future__ import annotations

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from tsobs.answers import json_response

__all__ = ["speak_json"]


class _JsonHandler(RequestHandler):
    """A connection whose parser errors have the shape of all other errors."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The error as JSON; what is the service's own shows nothing."""
        super().handle_error(request, status, exc, message)
        code, told = "internal_error", "Internal server error"
        if status < 500:
            code, told = "invalid_request", "the request is not HTTP that can be read"
        details = {"problem": type(exc).__name__} if exc is not None and status < 500 else {}
        response = json_response({"error": code, "message": told, "details": details}, status)
        response.headers["Server"] = "tsobs"
        response.force_close()
        return response


class _JsonServer(web.Server):
    """Makes connections that are `_JsonHandler`."""

    def __call__(self) -> RequestHandler:
        handler = super().__call__()
        handler.__class__ = _JsonHandler
        return handler


def speak_json(server: web.Server | None) -> None:
    """Makes a set-up runner's server answer malformed requests in JSON."""
    # The runner makes its server and connections itself and takes no classes.
    assert server is not None
    server.__class__ = _JsonServer
