"""What any process of the service answers about itself: whether requests would be answered now."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any, NamedTuple

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from tsobs import __version__
from tsobs.answers import json_response
from tsobs.db import Database
from tsobs.errors import Overloaded, TsobsError
from tsobs.openapi import Answer, Operation, Schema, object_schema, ref
from tsobs.web import Handlers

__all__ = ["OPERATIONS", "SCHEMAS", "health_handlers"]

_STATUS: Schema = {"enum": ["healthy", "degraded", "unhealthy"]}
SCHEMAS: dict[str, Schema] = {
    "HealthResponse": object_schema(
        {
            "status": _STATUS,
            "timestamp": {"type": "string", "format": "date-time"},
            "version": {"type": "string"},
            "checks": {"type": "object", "description": "the database's status and duration"},
        },
        ("status", "timestamp", "version", "checks"),
    )
}
OPERATIONS = {
    ("GET", "/v1/health"): Operation(
        "Whether requests would be answered now",
        {
            200: Answer("healthy or degraded", ref("HealthResponse")),
            503: Answer("unhealthy", ref("HealthResponse")),
        },
    ),
    ("GET", "/metrics/service"): Operation(
        "The service's own metrics, for Prometheus",
        {200: Answer("text format 0.0.4", {"type": "string"}, "text/plain")},
    ),
    ("GET", "/openapi.json"): Operation(
        "This document",
        {200: Answer("OpenAPI 3.1", {"type": "object"})},
    ),
}

# A probe gives up after a few seconds, and should get an answer before.
TIMEOUT_S = 2.0
SLOW_S = 0.5
# Anyone may ask, so asking must cost the database nothing.
REMEMBER_S = 1.0


class Health(NamedTuple):
    """What a check found, and when."""

    status: str
    checks: dict[str, Any]
    checked_s: float


class HealthHandler:
    """healthy; degraded: slow, or every connection busy; unhealthy: no answer, which is a 503."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last: Health | None = None
        self._lock = asyncio.Lock()
        self._asking: asyncio.Task[str | None] | None = None

    async def health(self, request: web.Request) -> web.StreamResponse:
        """The state of this process and its database; names nothing that is not public."""
        async with self._lock:
            if self._last is None or time.monotonic() - self._last.checked_s > REMEMBER_S:
                self._last = await self._check()
            last = self._last
        answer = {
            "status": last.status,
            "timestamp": datetime.now(UTC),
            "version": __version__,
            "checks": last.checks,
        }
        return json_response(answer, 503 if last.status == "unhealthy" else 200)

    async def _check(self) -> Health:
        pool = self._database.pool
        is_full = pool.get_size() >= pool.get_max_size() and not pool.get_idle_size()
        started_s = time.monotonic()
        # Not cancelled when it is late: a driver that tells a hung server to stop hangs with it.
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name="health check")
        await asyncio.wait({self._asking}, timeout=TIMEOUT_S)
        ended_s = time.monotonic()
        status, message = "healthy", None
        if not self._asking.done():
            status, message = "unhealthy", f"no answer within {TIMEOUT_S:g} s"
            if is_full:
                status, message = "degraded", f"no free connection within {TIMEOUT_S:g} s"
        elif (refused := self._asking.result()) is not None:
            status, message = "unhealthy", refused
        elif ended_s - started_s > SLOW_S:
            status, message = "degraded", f"an answer took longer than {SLOW_S:g} s"
        database: dict[str, Any] = {"status": status, "duration_seconds": ended_s - started_s}
        if message is not None:
            database["message"] = message
        return Health(status, {"database": database}, ended_s)

    async def _ask(self) -> str | None:
        """None, or why there is no answer, in words that anyone may read."""
        try:
            await self._database.fetchrow("check_health")
        except Overloaded as error:
            return error.message
        except TsobsError:
            return "the database refuses to answer"
        return None


def health_handlers(database: Database, registry: CollectorRegistry) -> Handlers:
    """`GET /v1/health`, 503 unless the database answers, and `GET /metrics/service`."""

    async def service_metrics(request: web.Request) -> web.StreamResponse:
        headers = {"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
        return web.Response(body=generate_latest(registry), headers=headers)

    return {
        ("GET", "/v1/health"): HealthHandler(database).health,
        ("GET", "/metrics/service"): service_metrics,
    }
