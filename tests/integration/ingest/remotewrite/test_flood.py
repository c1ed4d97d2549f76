"""A flood of new series: those that are known flow on beside it."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.integration.ingest.remotewrite.test_retries import sums
from tests.integration.ingest.remotewrite.writing import Remote, metric
from tests.integration.ingest.sending import Stored
from tests.remotebodies import now_ms, series, v1_body

NOW = now_ms() // 1000 * 1000


def known(n: int) -> bytes:
    return v1_body(*(series(metric(k=str(k)), (NOW - n, 1.0)) for k in range(50)))


def fresh(n: int, count: int) -> bytes:
    labels = {f"label_{k}": f"value {k}" for k in range(8)}
    return v1_body(
        *(series(metric("new", n=f"{n}-{k}", **labels), (NOW, 1.0)) for k in range(count))
    )


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("bodies", "each"), [(24, 500), pytest.param(100, 2000, marks=pytest.mark.long)]
)
async def test_known_series_are_not_kept_waiting(
    remote: Remote, stored: Stored, bodies: int, each: int
) -> None:
    assert (await remote.post(known(0))).status == 204
    floods = [asyncio.create_task(remote.post(fresh(n, each))) for n in range(bodies)]
    waits = []
    n = 0
    while not all(flood.done() for flood in floods):
        n += 1
        started = time.monotonic()
        assert (await remote.post(known(n))).status == 204
        waits.append(time.monotonic() - started)
        await asyncio.sleep(0.02)
    for flood in floods:
        assert (await flood).status == 204
    flood_s = sum(waits)
    waits.sort()
    assert n > 10
    # The test's own sending shares the loop: this is no latency of the service alone.
    assert waits[len(waits) // 2] < 0.25, (waits[len(waits) // 2], waits[-1], flood_s)
    count = bodies * each + 50 * (n + 1)
    assert await sums(stored) == (count, float(count), count, float(count))
