"""Many new series at once: how fast they are taken, and the memory of who knows them then."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tests.bench.remotewritebodies import Load, requests
from tests.bench.remotewritecopy import check_stored
from tests.bench.remotewritesender import fill_spool
from tests.bench.remotewritespeed import CONNECTIONS, Plan, Taken, receivers, take
from tests.bench.remotewritetold import Told
from tests.bench.server import Server

__all__ = ["bench_series"]


def bench_series(server: Server, place: Path, plan: Plan, told: Told) -> None:
    """A round of samples of series that are all new, then one of the same series, now known."""
    now_ms = int(time.time() * 1000) - 60_000
    loads = [
        Load(plan.series, 1, plan.series, CONNECTIONS, now_ms - 30 * 60_000),
        Load(plan.series, 1, plan.series, CONNECTIONS, now_ms),
    ]
    told.doing(f"making two rounds of {plan.series:,} series")
    spools = [
        fill_spool(place / f"round{n}", (requests(load, c) for c in range(CONNECTIONS)))
        for n, load in enumerate(loads)
    ]
    told.say(f"{plan.series:,} new series, bodies of 2000x1:")
    best: dict[str, float] = {}
    for turn in range(1, plan.rounds + 1):
        for name, start in receivers(server, plan):
            told.doing(f"{plan.series:,} new series: {name}, {turn} of {plan.rounds}")
            with start() as target:
                new, known = (
                    take(target, spool, load.sent)
                    for spool, load in zip(spools, loads, strict=True)
                )
                if target.database_url:
                    asyncio.run(check_stored(target.database_url, loads))
                else:
                    target.check_stored(sum(load.sent for load in loads))
            rate = plan.series / new.sent.wall_s
            best[name] = max(rate, best.get(name, 0.0))
            _tell(told, name, plan.series, new, known)
    for spool in spools:
        spool.path.unlink()
    if {"tsobs", "victoria-metrics"} <= best.keys():
        ratio = best["tsobs"] / best["victoria-metrics"]
        told.say(
            f"best of tsobs: {best['tsobs']:,.0f} new series/s = {ratio:.2f} x victoria-metrics "
            "(at least 1.00)"
        )


def _tell(told: Told, name: str, series: int, new: Taken, known: Taken) -> None:
    rate, million = series / new.sent.wall_s, series / 1e6
    cpu = f"{new.service_s / million:.1f}"
    if new.server_s is not None:
        cpu += f" + PostgreSQL {new.server_s / million:.1f}"
    told.say(
        f"  {name:<17}{rate:>11,.0f} new series/s   CPU s a million {cpu}   "
        f"RSS with them known {known.resident >> 20} MiB   then {known.rate:,.0f} samples/s"
    )
    told.keep(
        part="series", who=name, series=series, new_per_s=rate, service_cpu_s=new.service_s,
        postgresql_cpu_s=new.server_s, resident_bytes=known.resident,
        known_samples_per_s=known.rate,
    )  # fmt: skip
