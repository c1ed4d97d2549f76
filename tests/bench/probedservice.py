"""`tsobs serve` with a probe in its event loop: `python -m tests.bench.probedservice FILE`.

The probe asks for its turn every 2 ms and notes by how much it came late. At the end FILE has the
longest wait in milliseconds, and of it how long the loop's own thread had computed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

from tsobs.serve import run, settle_garbage
from tsobs.settings import load

EVERY_S = 0.002


class Probe:
    """The longest delay of the loop, and the loop thread's CPU time in it; both in seconds."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begins anew."""
        self.delay_s = 0.0
        self.busy_s = 0.0

    async def watch(self) -> None:
        """Until it is cancelled."""
        while True:
            wall_s, cpu_s = time.perf_counter(), time.thread_time()
            await asyncio.sleep(EVERY_S)
            delay_s = time.perf_counter() - wall_s - EVERY_S
            if delay_s > self.delay_s:
                self.delay_s, self.busy_s = delay_s, time.thread_time() - cpu_s


async def main() -> Probe:
    """Serves until SIGTERM; SIGUSR1 begins the measurement anew."""
    probe, stop = Probe(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, probe.forget)

    def ready(url: str) -> None:
        settle_garbage()
        sys.stdout.write(f"tsobs is ready at {url}\n")
        sys.stdout.flush()

    watching = asyncio.create_task(probe.watch())
    await run(load({}, os.environ).settings, ready=ready, stop=stop)
    watching.cancel()
    return probe


if __name__ == "__main__":
    found = asyncio.run(main())
    Path(sys.argv[1]).write_text(json.dumps({"delay_s": found.delay_s, "busy_s": found.busy_s}))
