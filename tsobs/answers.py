"""Answers as JSON: objects, and errors in the one shape that every client can rely on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from tsobs.errors import CallerError, Overloaded, TsobsError

__all__ = ["error_response", "json_response"]

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY

# What aiohttp itself refuses: code and message by status.
_REFUSED = {
    404: ("not_found", "there is nothing at this path"),
    405: ("method_not_allowed", "this path does not take this method"),
    408: ("request_timeout", "the request took too long to arrive"),
    411: ("length_required", "say how long the body is"),
    413: ("too_large", "the body is too large"),
    417: ("expectation_failed", "this expectation is not supported"),
}


def json_response(
    value: Any, status: int = 200, *, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Any value as JSON; aware datetimes become RFC 3339 in UTC, NaN becomes null."""
    body = orjson.dumps(value, option=_OPTIONS)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def error_response(error: Exception, *, correlation_id: str = "") -> web.Response:
    """An error as its status and `{"error", "message", "details"}`; what is ours shows nothing."""
    if isinstance(error, CallerError | Overloaded):
        return _shaped(error.status, error.code, error.message, error.details, _headers(error))
    if isinstance(error, web.HTTPException) and 400 <= error.status < 500:
        code, message = _REFUSED.get(error.status, ("invalid_request", error.reason))
        kept = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
        return _shaped(error.status, code, message, _details(error), kept)
    details = {"correlation_id": correlation_id}
    return _shaped(500, "internal_error", "Internal server error", details, {})


def _shaped(
    status: int, code: str, message: str, details: Mapping[str, Any], headers: Mapping[str, str]
) -> web.Response:
    value = {"error": code, "message": message, "details": dict(details)}
    return json_response(value, status, headers=headers)


def _headers(error: TsobsError) -> dict[str, str]:
    if isinstance(error, Overloaded):
        return {"Retry-After": str(max(1, math.ceil(error.retry_after_s)))}
    if error.status == 401:
        return {"WWW-Authenticate": 'Bearer realm="tsobs"'}
    if error.status == 403 and "scope" in error.details:
        scope = error.details["scope"]
        return {
            "WWW-Authenticate": f'Bearer realm="tsobs", error="insufficient_scope", scope="{scope}"'
        }
    return {}


def _details(error: web.HTTPException) -> dict[str, Any]:
    if isinstance(error, web.HTTPMethodNotAllowed):
        return {"allowed": sorted(error.allowed_methods)}
    return {}
