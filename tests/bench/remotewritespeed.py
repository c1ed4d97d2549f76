"""Samples/s of known series: the same requests to each receiver, and COPY of the same rows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from tests.bench.process import cpu_seconds, resident_bytes
from tests.bench.remotewritebodies import Load, requests
from tests.bench.remotewritecopy import check_stored, copy_rates
from tests.bench.remotewritesender import Delivery, Spool, deliver, fill_spool
from tests.bench.remotewritetargets import Target, prometheus, tsobs, victoria_metrics
from tests.bench.remotewritetold import Told
from tests.bench.server import Server, fresh_database

__all__ = ["CONNECTIONS", "Plan", "Taken", "bench_speed", "receivers", "take"]

CONNECTIONS = 8
SHAPES = ((1, "2000x1"), (4, "500x4"))
COPY_CONNECTIONS = (1, 2)
# The first round of each series is older than all others.
WARM_MS = 50 * 60_000


class Plan(NamedTuple):
    """Series, samples a delivery, how often, whom, and settings of tsobs that are not default."""

    series: int
    samples: int
    rounds: int
    who: Sequence[str]
    settings: Mapping[str, str]


class Taken(NamedTuple):
    """One delivery; CPU seconds of the receiver and of PostgreSQL; resident bytes after it."""

    samples: int
    sent: Delivery
    service_s: float
    server_s: float | None
    resident: int

    @property
    def rate(self) -> float:
        """Samples a second, answered."""
        return self.samples / self.sent.wall_s


def receivers(
    server: Server, plan: Plan
) -> Iterator[tuple[str, Callable[[], AbstractContextManager[Target]]]]:
    """Those of the plan that take remote-write, each to be started anew."""
    known: dict[str, Callable[[], AbstractContextManager[Target]]] = {
        "tsobs": lambda: tsobs(server, **plan.settings),
        "victoria-metrics": victoria_metrics,
        "prometheus": prometheus,
    }
    return ((name, known[name]) for name in plan.who if name in known)


def take(target: Target, spool: Spool, samples: int) -> Taken:
    """Deliver, and read what it cost."""
    before = _cpu(target)
    sent = deliver(spool, target.url)
    service_s, server_s = (now - then for now, then in zip(_cpu(target), before, strict=True))
    resident = resident_bytes(target.pid)
    return Taken(samples, sent, service_s, server_s if target.database_pid else None, resident)


def _cpu(target: Target) -> tuple[float, float]:
    return (
        cpu_seconds(target.pid),
        cpu_seconds(target.database_pid) if target.database_pid else 0.0,
    )


def bench_speed(server: Server, place: Path, plan: Plan, told: Told) -> None:
    """Both shapes of bodies; the best of each receiver, and its ratio to the others."""
    for per_series, title in SHAPES:
        now_ms = int(time.time() * 1000) - 60_000
        warm = Load(plan.series, 1, plan.series, CONNECTIONS, now_ms - WARM_MS)
        load = Load(plan.series, per_series, plan.samples, CONNECTIONS, now_ms)
        told.doing(f"making {load.sent:,} samples of {plan.series:,} series, {title}")
        spools = [
            fill_spool(place / name, (requests(one, c) for c in range(CONNECTIONS)))
            for name, one in (("warm", warm), ("load", load))
        ]
        rates: dict[str, list[float]] = {}
        told.say(f"{plan.series:,} known series, bodies of {title}, {load.sent:,} samples:")
        for turn in range(1, plan.rounds + 1):
            for name, start in receivers(server, plan):
                told.doing(f"{plan.series:,} series, {title}: {name}, {turn} of {plan.rounds}")
                with start() as target:
                    taken = _measured(target, spools, (warm, load))
                rates.setdefault(name, []).append(taken.rate)
                _tell(told, name, plan.series, title, taken)
            if "copy" in plan.who:
                told.doing(f"{plan.series:,} series, {title}: COPY, {turn} of {plan.rounds}")
                for count, rate in _copied(server, load).items():
                    rates.setdefault(f"COPY by {count}", []).append(rate)
        _tell_best(told, plan.series, title, {name: max(found) for name, found in rates.items()})
        for spool in spools:
            spool.path.unlink()


def _measured(target: Target, spools: Sequence[Spool], loads: Sequence[Load]) -> Taken:
    deliver(spools[0], target.url)
    taken = take(target, spools[1], loads[1].sent)
    if target.database_url:
        asyncio.run(check_stored(target.database_url, loads))
    else:
        target.check_stored(sum(load.sent for load in loads))
    return taken


def _copied(server: Server, load: Load) -> dict[int, float]:
    with fresh_database(server) as url:
        return asyncio.run(copy_rates(url, load, COPY_CONNECTIONS))


def _tell(told: Told, name: str, series: int, title: str, taken: Taken) -> None:
    million, sent = taken.samples / 1e6, taken.sent
    cpu = f"{taken.service_s / million:.2f}"
    if taken.server_s is not None:
        cpu += f" + PostgreSQL {taken.server_s / million:.2f}"
    told.say(
        f"  {name:<17}{taken.rate:>11,.0f} samples/s   CPU s a million {cpu}   "
        f"RSS {taken.resident >> 20} MiB   p50 {sent.p50_s * 1e3:.0f} ms, "
        f"p95 {sent.p95_s * 1e3:.0f} ms   sender {sent.cpu_s / million:.2f} CPU s"
    )
    told.keep(
        part="speed", who=name, series=series, bodies=title, samples=taken.samples,
        samples_per_s=taken.rate, service_cpu_s=taken.service_s, postgresql_cpu_s=taken.server_s,
        resident_bytes=taken.resident, **sent._asdict(),
    )  # fmt: skip


def _tell_best(told: Told, series: int, title: str, best: dict[str, float]) -> None:
    told.keep(part="best", series=series, bodies=title, **best)
    for name, rate in best.items():
        if name.startswith("COPY"):
            told.say(f"  {name:<17}{rate:>11,.0f} rows/s")
    if "tsobs" in best:
        ratios = [
            f"{best['tsobs'] / rate:.2f} x {name}" for name, rate in best.items() if name != "tsobs"
        ]
        told.say(f"best of tsobs: {best['tsobs']:,.0f} samples/s = {', '.join(ratios)}")
