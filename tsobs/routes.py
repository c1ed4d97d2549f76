"""Every route of the service with the scope it needs, in one table."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

__all__ = ["ROUTES", "Route", "Scope", "routes_elsewhere", "routes_of"]


class Scope(StrEnum):
    """What a token may do; `public` needs none and `admin` implies all."""

    PUBLIC = "public"
    AGENT = "agent"
    EVENTS = "events"
    REMOTE_WRITE = "remote_write"
    READ = "read"
    ADMIN = "admin"


class Route(NamedTuple):
    """One method and path; `roles` are the roles of `tsobs serve` that answer it. `is_queue` is
    where senders drop what a 4xx answers: the handler has limits of its own, and nothing that may
    pass is told as one."""

    method: str
    path: str
    scope: Scope
    roles: frozenset[str]
    is_queue: bool = False


_INGEST = frozenset({"all", "ingest"})
_QUERY = frozenset({"all", "query"})
_EVERY = _INGEST | _QUERY

ROUTES = (
    Route("GET", "/v1/health", Scope.PUBLIC, _EVERY),
    Route("GET", "/openapi.json", Scope.PUBLIC, _EVERY),
    Route("POST", "/v1/samples", Scope.AGENT, _INGEST),
    Route("POST", "/v1/events/job-started", Scope.EVENTS, _INGEST),
    Route("POST", "/v1/events/job-finished", Scope.EVENTS, _INGEST),
    Route("POST", "/api/v1/write", Scope.REMOTE_WRITE, _INGEST, is_queue=True),
    Route("POST", "/api/v1/push", Scope.REMOTE_WRITE, _INGEST, is_queue=True),
    Route("GET", "/metrics", Scope.READ, _QUERY),
    Route("GET", "/metrics/service", Scope.READ, _EVERY),
    Route("GET", "/v1/jobs", Scope.READ, _QUERY),
    Route("GET", "/v1/jobs/{id}", Scope.READ, _QUERY),
    Route("POST", "/v1/jobs", Scope.EVENTS, _INGEST),
    Route("PATCH", "/v1/jobs/{id}", Scope.EVENTS, _INGEST),
    # It hides a job from everyone, and hooks' tokens are on every node.
    Route("DELETE", "/v1/jobs/{id}", Scope.ADMIN, _INGEST),
    Route("GET", "/v1/jobs/{id}/metrics", Scope.READ, _QUERY),
    Route("POST", "/v1/jobs/{id}/metrics", Scope.EVENTS, _INGEST),
    Route("GET", "/v1/jobs/{id}/events", Scope.READ, _QUERY),
    Route("GET", "/v1/nodes", Scope.READ, _QUERY),
)


def routes_of(role: str) -> tuple[Route, ...]:
    """The routes that a process of this role answers."""
    return tuple(route for route in ROUTES if role in route.roles)


def routes_elsewhere(role: str) -> tuple[Route, ...]:
    """The routes that only processes of another role answer."""
    return tuple(route for route in ROUTES if role not in route.roles)
