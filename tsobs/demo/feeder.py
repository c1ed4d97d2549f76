"""Lets the simulated cluster live: its past as history, then in real time, all of it exactly once.

Before a window is sent, the note says where the simulation stood and which window comes: after
a kill the same window is simulated again, gives the same batches under the same numbers, and the
service knows which of them it has.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tsobs.demo.client import Client
from tsobs.demo.notes import write_note
from tsobs.demo.progress import Progress
from tsobs.demo.simulation.window import LIVE_STEP_S, Window, next_window
from tsobs.demo.simulation.wire import encode_batch
from tsobs.demo.simulation.world import Step, World

__all__ = ["VERSION", "Feeder"]

VERSION = 1
"""Of the note; raised when what it says changes its meaning."""

_AT_ONCE = 20
_CONFLICT = 409
# Live batches are sent a moment after the grid point that they speak of.
_AFTER_GRID_S = 0.3
_REPORT_EVERY_S = 2.0
_FINISH_S = 5.0


class Feeder:
    """Sends what the world brings; `longest_gap_s` is the longest past that is filled."""

    name = "simulation"

    def __init__(
        self,
        world: World,
        client: Client,
        note: Path,
        progress: Progress,
        *,
        longest_gap_s: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.world = world
        self._client = client
        self._note = note
        self._progress = progress
        self._longest_gap_s = longest_gap_s
        self._clock = clock
        self._streams = {node.name: secrets.token_hex(16) for node in world.nodes}
        self._seq = 0
        self._pending: Window | None = None

    def restore(self, note: Mapping[str, Any]) -> None:
        """Goes on under the numbers of a predecessor."""
        self._streams = dict(note["streams"])
        self._seq = note["seq"]
        self._pending = Window.from_json(note["pending"]) if note["pending"] else None

    async def catch_up(self) -> None:
        """Sends everything up to now."""
        begin, now = self.world.at, self._clock()
        reported_at = time.monotonic()
        while (window := self._next()) is not None:
            if window.kind == "cut":
                self._progress("the simulated nodes were without power for most of the pause")
            await self._finish(asyncio.create_task(self._pass(window), name="window"))
            if time.monotonic() - reported_at > _REPORT_EVERY_S:
                done = min((self.world.at - begin) / max(now - begin, 1), 1.0)
                self._progress(f"history of the simulated cluster: {done:.0%}")
                reported_at = time.monotonic()

    async def ended(self) -> str:
        """Lives on in real time; it ends only when something cannot be sent."""
        while True:
            await asyncio.sleep(LIVE_STEP_S - self._clock() % LIVE_STEP_S + _AFTER_GRID_S)
            await self.catch_up()

    async def _finish(self, passing: asyncio.Task[None]) -> None:
        """Awaits it; a window that was begun gets a moment to finish when we are cancelled."""
        try:
            await asyncio.shield(passing)
        except asyncio.CancelledError:
            await asyncio.wait([passing], timeout=_FINISH_S)
            passing.cancel()
            await asyncio.wait([passing])
            raise

    def _next(self) -> Window | None:
        if self._pending is not None:
            return self._pending
        return next_window(self.world.at, self._clock(), longest_gap_s=self._longest_gap_s)

    async def _pass(self, window: Window) -> None:
        self._pending = window
        await asyncio.to_thread(self._write_note)
        step, bodies = await asyncio.to_thread(self._prepare, window)
        await self._post_events("job-started", step.started)
        await _all_of(self._post_batch(node, body) for node, body in bodies.items())
        await self._post_events("job-finished", step.finished)
        self._seq += 1
        self._pending = None
        await asyncio.to_thread(self._write_note)

    def _prepare(self, window: Window) -> tuple[Step, dict[str, bytes]]:
        step = self.world.step(window)
        seq = self._seq + 1
        bodies = {
            node: encode_batch(self._streams[node], seq, batch)
            for node, batch in step.batches.items()
        }
        return step, bodies

    def _write_note(self) -> None:
        write_note(
            self._note,
            {
                "version": VERSION,
                "world": self.world.to_json(),
                "streams": self._streams,
                "seq": self._seq,
                "pending": self._pending.to_json() if self._pending else None,
            },
        )

    async def _post_events(self, kind: Any, events: Iterable[Mapping[str, Any]]) -> None:
        await _all_of(self._client.post_event(kind, event) for event in events)

    async def _post_batch(self, node: str, body: bytes) -> None:
        answer = await self._client.post_batch(body)
        if answer.status == _CONFLICT:
            # It has this number, from another version of the demo: what follows needs new ones.
            self._streams[node] = secrets.token_hex(16)
        elif refused := answer.document.get("rejected_count"):
            rule = answer.document["rejected"][0]
            self._progress(f"the service left out {refused} rows of {node}: {rule}")


async def _all_of(sendings: Iterable[Awaitable[object]]) -> None:
    """Awaits all, some at once; the first failure ends the others."""
    waiting = iter(sendings)

    async def work() -> None:
        for sending in waiting:
            await sending

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(work())
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
