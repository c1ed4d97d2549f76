"""`make bench-events`: hooks' events through POST /v1/events/* with a million jobs in the store.

Each job of the bench is told of four times: its start and its ending, by a node and by the
controller. The senders' requests are made before the clock starts.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.bench.eventdata import fill, requests
from tests.bench.process import cpu_seconds
from tests.bench.sender import Sent, send_all
from tests.bench.server import Server, fresh_database, running_server
from tests.processes import ServiceProcess

SENDERS = 50
WARM_JOBS = 250


class Round(NamedTuple):
    """One round: what was sent, and CPU seconds of the service and of PostgreSQL."""

    sent: Sent
    service_s: float
    server_s: float

    @property
    def rate(self) -> float:
        """Events a second, committed and answered."""
        return len(self.sent.latencies_s) / self.sent.wall_s


def main() -> int:
    """Prints the figures; always 0, for a figure is no verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stored", type=int, default=1_000_000, help="jobs in the store")
    parser.add_argument("--jobs", type=int, default=2_500, help="jobs a round, 4 events each")
    parser.add_argument("--rounds", type=int, default=3, help="best of so many (default 3)")
    args = parser.parse_args()
    with running_server() as server, fresh_database(server) as url:
        asyncio.run(fill(url, args.stored))
        _say(f"{server.title}; {SENDERS} senders, {args.stored:,} jobs in the store")
        with ServiceProcess(url) as service:
            _round(service, server, WARM_JOBS, 10_000_000)
            rounds = [
                _round(service, server, args.jobs, 20_000_000 + n * args.jobs)
                for n in range(args.rounds)
            ]
        for one in rounds:
            _say("  " + _told(one))
        best = max(rounds, key=lambda one: one.rate)
        _say(f"best: {_told(best)}")
        _say(f"events committed: {best.rate:,.0f}/s (at least 1,000)")
    return 0


def _round(service: ServiceProcess, server: Server, jobs: int, first_id: int) -> Round:
    """All starts, in any order, then all endings."""
    starts, ends = requests(urlsplit(service.url).netloc, jobs, first_id)
    before = (cpu_seconds(service.pid), cpu_seconds(server.pid))
    parts = [
        asyncio.run(send_all(service.url, part, SENDERS, b'"status":')) for part in (starts, ends)
    ]
    used = (cpu_seconds(service.pid) - before[0], cpu_seconds(server.pid) - before[1])
    latencies = sorted(latency for part in parts for latency in part.latencies_s)
    return Round(Sent(sum(part.wall_s for part in parts), latencies), *used)


def _told(one: Round) -> str:
    count = len(one.sent.latencies_s)
    return (
        f"{one.rate:,.0f} events/s, p50 {one.sent.quantile(0.5) * 1e3:.0f} ms, p95 "
        f"{one.sent.quantile(0.95) * 1e3:.0f} ms; CPU us an event: service "
        f"{one.service_s / count * 1e6:.0f}, PostgreSQL {one.server_s / count * 1e6:.0f}"
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
