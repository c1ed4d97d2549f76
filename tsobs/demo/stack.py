"""The parts of the demo, put up one on the other and taken down in reverse, whatever happens."""

from __future__ import annotations

import asyncio
import os
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, TypeVar

from tsobs.demo.agent import open_agent
from tsobs.demo.client import Client, open_client
from tsobs.demo.credentials import Credentials
from tsobs.demo.database import Database, running_database
from tsobs.demo.folder import Folder
from tsobs.demo.greeting import Real, ask_simulated, greeting
from tsobs.demo.localjob import cgroup_label, open_local_job, why_not
from tsobs.demo.options import Options
from tsobs.demo.part import Part, Watch
from tsobs.demo.progress import Progress
from tsobs.demo.resume import open_feeder
from tsobs.demo.service import open_service
from tsobs.demo.signals import Signals
from tsobs.listen import Listeners, open_listeners
from tsobs.log import set_up_logging
from tsobs.output import say
from tsobs.settings import Settings

__all__ = ["run_demo"]

_GRACE_S = 3.0
_INTERRUPTED = 130

_PartT = TypeVar("_PartT", bound=Part)


def run_demo(options: Options) -> int:
    """Runs until a signal, the duration or a failure; returns the exit status."""
    progress, signals, folder = Progress(), Signals(), Folder(options.data_dir)
    set_up_logging("warning", "text")
    with signals.installed():
        try:
            with folder.held():
                [listeners] = open_listeners(options.host, options.port)
                with running_database(folder, options, progress, signals) as database:
                    demo = _Demo(options, folder, progress, database, listeners)
                    return asyncio.run(demo.run(signals))
        except KeyboardInterrupt:
            return signals.exit_status(_INTERRUPTED)


class _Demo:
    """One run, from the service upwards."""

    def __init__(
        self,
        options: Options,
        folder: Folder,
        progress: Progress,
        database: Database,
        listeners: Listeners,
    ) -> None:
        self._options = options
        self._folder = folder
        self._progress = progress
        self._database = database
        self._listeners = listeners
        self._is_ready = False

    async def run(self, signals: Signals) -> int:
        """Until something ends it; all that was started is stopped then."""
        stop = asyncio.Event()
        watch = Watch()
        with signals.setting(stop):
            body = asyncio.create_task(self._body(watch), name="demo")
            stopping = asyncio.create_task(stop.wait(), name="stop")
            ends: list[asyncio.Future[Any]] = [body, stopping, watch.failure]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            self._progress("stopping")
            body.cancel()
            await asyncio.wait([body])
            failure = None if body.cancelled() else body.exception()
            # What a dead part makes of the others is not the news.
            if watch.failure.done():
                failure = watch.failure.result()
            if failure is not None:
                raise failure
        # Once it is ready, Ctrl-C is how the demo is meant to end.
        return 0 if self._is_ready else signals.exit_status(0)

    async def _body(self, watch: Watch) -> None:
        async with AsyncExitStack() as stack:
            parts = _Parts(stack, watch)
            parts.add(self._database)
            service = await parts.open(open_service(self._settings(), self._listeners))
            self._progress(f"service: listening at {service.url}")
            credentials = Credentials(self._database.url, self._folder.token)
            await credentials.open()
            client = await stack.enter_async_context(open_client(service.url, credentials))
            real = await self._open_real(parts, client, service.url)
            feeder = await open_feeder(self._options, self._folder, client, self._progress)
            await feeder.catch_up()
            parts.add(feeder)
            simulated = await ask_simulated(client, feeder.world)
            text = greeting(
                service.url,
                self._progress.elapsed_s,
                real=real,
                simulated=simulated,
                has_tokens=credentials.secret is not None,
                folder=self._folder.path,
            )
            say(text)
            self._is_ready = True
            if self._options.duration_s is None:
                await asyncio.Event().wait()
            else:
                await asyncio.sleep(self._options.duration_s)

    async def _open_real(self, parts: _Parts, client: Client, url: str) -> Real | None:
        """The agent for this host and, where that can be, a job for it to see."""
        if not self._options.agent:
            return None
        host = os.uname().nodename.partition(".")[0]
        await parts.open(open_agent(self._folder, url, host, cgroup_label(self._folder)))
        self._progress(f"agent: reads this host, node {host} (real)")
        if (why_none := why_not()) is not None:
            self._progress(f"local job: none, {why_none}")
            return Real(host, None, why_none)
        job = await parts.open(open_local_job(self._folder, client, host))
        self._progress(f"local job {job.job_id}: runs in a real cgroup")
        return Real(host, job.job_id, None)

    def _settings(self) -> Settings:
        return Settings(
            database_url=self._database.url,
            host=self._options.host,
            port=self._options.port,
            insecure=self._options.insecure,
            migrate=True,
            shutdown_grace_s=_GRACE_S,
            ingest_connections=4,
        )


class _Parts:
    """Opens parts and has them watched until just before they are stopped."""

    def __init__(self, stack: AsyncExitStack, watch: Watch) -> None:
        self._stack = stack
        self._watch = watch

    async def open(self, opening: AbstractAsyncContextManager[_PartT]) -> _PartT:
        """Opens a part, which is closed with the stack."""
        part = await self._stack.enter_async_context(opening)
        self.add(part)
        return part

    def add(self, part: Part) -> None:
        """Takes a part that is open already."""
        self._stack.push_async_callback(_cancel, self._watch.add(part))


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
