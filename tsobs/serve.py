"""The composition root: opens what a role needs, joins it into one application, and serves it."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aiohttp import web

from tsobs import health
from tsobs.access import open_access
from tsobs.errors import SetupError, TsobsError
from tsobs.health import health_handlers
from tsobs.listen import Listeners, explain_bind_error, open_listeners
from tsobs.lostjobs import LostJobs
from tsobs.malformed import speak_json
from tsobs.openapi import document
from tsobs.readiness import prepare_database
from tsobs.retention import keep_maintaining, set_retention
from tsobs.routes import ROUTES, routes_elsewhere, routes_of
from tsobs.selfmetrics import HttpMetrics, ServiceRegistry, make_registry
from tsobs.settings import Settings
from tsobs.web import Handler, json_response, make_app
from tsobs.workers import Worker, supervise

__all__ = ["run", "serve", "serving"]

# Longer than the agents' interval and the usual scrape, so that their connections stay open; it
# also bounds how long a connection may take to send its headers.
_KEEPALIVE_S = 75.0
# How long the rest of a refused body is read, so that the sender gets to see the answer.
_LINGER_S = 5.0
_BACKLOG = 1024
# Dropping chunks is cheap, and a chunk is hours long.
MAINTAIN_EVERY_S = 600.0
LOSE_EVERY_S = 30.0

_log = logging.getLogger(__name__)


async def run(
    settings: Settings,
    *,
    ready: Callable[[str], None],
    stop: asyncio.Event | None = None,
    listeners: Listeners | None = None,
    worker: int = 0,
) -> None:
    """Serves until `stop` is set or the task is cancelled, then lets requests in progress finish.

    Calls `ready` with the URL once requests are answered. Raises SetupError for what an operator
    must put right.
    """
    async with AsyncExitStack() as stack:
        if listeners is None:
            [listeners] = open_listeners(settings.host, settings.port)
        stack.callback(listeners.close)
        url = await prepare_database(settings)
        # One process a service is enough; several services take turns under a lock.
        keeps_retention = worker == 0 and settings.role != "query"
        for name in ("metrics_retention_days", "remote_write_retention_days"):
            if keeps_retention and (days := getattr(settings, name)) is not None:
                await set_retention(url, days, name)
        registry = make_registry(worker)
        access = await stack.enter_async_context(open_access(settings, loopback=listeners.loopback))
        handlers = dict(health_handlers(access.database, registry))
        handlers["GET", "/openapi.json"] = _api_document()
        handlers |= await _open_services(stack, settings, registry)
        app = make_app(
            handlers,
            routes_of(settings.role),
            access=access,
            metrics=HttpMetrics.register(registry),
            settings=settings,
            elsewhere=routes_elsewhere(settings.role),
        )
        await stack.enter_async_context(serving(app, listeners, settings))
        if keeps_retention:
            await stack.enter_async_context(_beside(keep_maintaining(url, MAINTAIN_EVERY_S)))
            await stack.enter_async_context(
                _beside(LostJobs(registry).keep_looking(url, LOSE_EVERY_S))
            )
        _log.info("serving %s at %s", settings.role, listeners.url)
        ready(listeners.url)
        await (stop or asyncio.Event()).wait()
        _log.info("stopping: requests in progress have %g s", settings.shutdown_grace_s)


async def _open_services(
    stack: AsyncExitStack, settings: Settings, registry: ServiceRegistry
) -> dict[tuple[str, str], Handler]:
    """The handlers of the role's services; each stays open until the stack closes."""
    # Imported here: the parent of several workers must stay without numpy's threads, and
    # `tsobs --help` without all of it.
    handlers: dict[tuple[str, str], Handler] = {}
    if settings.role in ("all", "query"):
        from query.app import open_query

        handlers |= await stack.enter_async_context(open_query(settings, registry))
    if settings.role in ("all", "ingest"):
        from ingest.app import open_ingest

        offered = await stack.enter_async_context(open_ingest(settings, registry))
        if twice := sorted(set(offered) & set(handlers)):
            raise SetupError(f"ingest and query both answer {twice}")
        handlers |= offered
    return handlers


def _api_document() -> Handler:
    """GET /openapi.json: all of the API, whichever role this process has."""
    from ingest import operations as ingesting
    from query import operations as querying

    parts = (health, ingesting, querying)
    operations = {key: value for part in parts for key, value in part.OPERATIONS.items()}
    schemas = {key: value for part in parts for key, value in part.SCHEMAS.items()}
    described = document(operations, schemas, ROUTES)

    async def answer(request: web.Request) -> web.StreamResponse:
        return json_response(described)

    return answer


@asynccontextmanager
async def serving(
    app: web.Application, listeners: Listeners, settings: Settings
) -> AsyncIterator[None]:
    """Accepts connections; at the end closes the sockets and waits for requests in progress."""
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=_KEEPALIVE_S,
        lingering_time=_LINGER_S,
        shutdown_timeout=settings.shutdown_grace_s,
    )
    await runner.setup()
    speak_json(runner.server)
    try:
        for listening in listeners.sockets:
            try:
                await web.SockSite(runner, listening, backlog=_BACKLOG).start()
            except OSError as error:
                address, port = listening.getsockname()[:2]
                raise explain_bind_error(error, address, port) from None
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _beside(upkeep: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Beside serving, does what the database does not do by itself."""
    task = asyncio.create_task(upkeep, name="maintenance")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def serve(settings: Settings, *, ready: Callable[[str], None]) -> int:
    """Serves with the declared number of processes until a signal; returns the exit status."""
    if settings.workers == 1:
        return asyncio.run(_run_until_signal(settings, ready))
    listeners = open_listeners(settings.host, settings.port, processes=settings.workers)
    asyncio.run(prepare_database(settings))
    # Workers find the schema done, and must not migrate when one of them is started again.
    settled = dataclasses.replace(settings, migrate=False)
    return supervise(
        listeners,
        lambda worker: _work(settled, worker),
        ready=lambda: ready(listeners[0].url),
        grace_s=settings.shutdown_grace_s,
    )


def _work(settings: Settings, worker: Worker) -> int:
    try:
        return asyncio.run(_run_until_signal(settings, lambda _: worker.tell_ready(), worker))
    except TsobsError as error:
        _log.error("worker %d cannot serve: %s", worker.number, error.message)
        return 1


def settle_garbage() -> None:
    """What is loaded by now stays: the collector need not walk through it again and again, nor come
    after every few requests. It took a tenth of ingest's CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


async def _run_until_signal(
    settings: Settings, ready: Callable[[str], None], worker: Worker | None = None
) -> int:
    """The first SIGTERM or SIGINT drains; the second, or one before all is ready, stops at once."""
    stop, serving = asyncio.Event(), asyncio.Event()
    received: list[signal.Signals] = []

    def on_ready(url: str) -> None:
        settle_garbage()
        serving.set()
        ready(url)

    running = asyncio.create_task(
        run(
            settings,
            ready=on_ready,
            stop=stop,
            listeners=worker.listeners if worker else None,
            worker=worker.number if worker else 0,
        ),
        name="serve",
    )

    def on_signal(number: signal.Signals) -> None:
        if received or not serving.is_set():
            running.cancel()
        received.append(number)
        stop.set()

    def on_orphaned(lifeline: int) -> None:
        loop.remove_reader(lifeline)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT) if worker is None else (signal.SIGTERM,):
        loop.add_signal_handler(number, on_signal, number)
    if worker:
        loop.add_reader(worker.lifeline, on_orphaned, worker.lifeline)
    try:
        await running
    except asyncio.CancelledError:
        if not received:
            raise
    return 128 + signal.SIGINT if signal.SIGINT in received else 0
