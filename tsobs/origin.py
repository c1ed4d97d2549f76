"""Keeps web pages away from a service without tokens, and lets the allowed origins use it.

A browser on the administrator's machine reaches 127.0.0.1 for any page it shows. A page cannot
forge `Host`, `Origin` or `Sec-Fetch-Site`, so these tell its requests from other programs'.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from urllib.parse import urlsplit

from aiohttp import web

from tsobs.errors import Forbidden

__all__ = ["SAFE_METHODS", "answer_preflight", "check_browser", "is_loopback", "mark_cors"]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.%]+\]|[0-9A-Za-z._-]+)(:[0-9]{1,5})?")
ALL = "*"
_PREFLIGHT_S = 600  # how long a browser may remember the answer


@functools.lru_cache(maxsize=64)  # parsing an address takes longer than all else here
def is_loopback(host: str) -> bool:
    """Whether a name or address, as in a URL, can only mean this machine."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def check_browser(request: web.Request, *, loopback: bool, allowed_origin: str | None) -> None:
    """Raises Forbidden for what a foreign web page sent to a service that asks for no token."""
    if loopback and not is_loopback(_host_name(request)):
        # DNS rebinding: the page's own name was made to point here.
        raise Forbidden(
            f"this service has no tokens, so it answers only as localhost, not as "
            f"{_host_name(request)!r}: create a token with `tsobs token create`",
            rule="host",
        )
    if request.method in SAFE_METHODS:
        return
    origin = request.headers.get("Origin")
    if origin is not None:
        # "All" lets every page read what a token opens; it names nobody who may do without one.
        named = allowed_origin != ALL and _is_allowed(origin, allowed_origin)
        foreign = not _same_origin(origin, request) and not named
    else:
        foreign = request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}
    if foreign:
        raise Forbidden(
            f"a web page of {origin or 'another origin'} may not write to a service without "
            "tokens: create a token with `tsobs token create`, or set cors_origin",
            rule="origin",
        )


def _host_name(request: web.Request) -> str:
    match = _HOST.fullmatch(request.host)
    return match["name"] if match else ""


def _same_origin(origin: str, request: web.Request) -> bool:
    # The scheme may differ behind a proxy that ends TLS.
    return urlsplit(origin).netloc.lower() == request.host.lower() != ""


def _is_allowed(origin: str | None, allowed_origin: str | None) -> bool:
    """Whether an origin is in the setting: some with commas between, or all."""
    if origin is None or allowed_origin is None:
        return False
    return allowed_origin == ALL or origin in re.split(r"\s*,\s*", allowed_origin)


def answer_preflight(request: web.Request, allowed_origin: str | None) -> web.Response | None:
    """The answer to an allowed origin's question whether it may send a request, else None."""
    asked = request.headers.get("Access-Control-Request-Method")
    if request.method != "OPTIONS" or asked is None:
        return None
    if not _is_allowed(request.headers.get("Origin"), allowed_origin):
        return None
    headers = {
        "Access-Control-Allow-Methods": asked if asked.isalpha() else "GET",
        "Access-Control-Allow-Headers": "Authorization, Content-Type, X-Changed-By, X-Source, "
        "X-Correlation-Id",
        "Access-Control-Max-Age": str(_PREFLIGHT_S),
    }
    return web.Response(status=204, headers=headers)


def mark_cors(
    request: web.Request, response: web.StreamResponse, allowed_origin: str | None
) -> None:
    """Tells the browser that an allowed origin may read this answer."""
    if allowed_origin is None:
        return
    response.headers.add("Vary", "Origin")
    origin = request.headers.get("Origin")
    if origin is not None and _is_allowed(origin, allowed_origin):
        response.headers["Access-Control-Allow-Origin"] = ALL if allowed_origin == ALL else origin
        response.headers["Access-Control-Expose-Headers"] = (
            "X-Correlation-Id, Retry-After, Location"
        )
