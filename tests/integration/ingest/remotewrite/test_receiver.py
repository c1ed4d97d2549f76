"""One body's way through the service: sizes, evicted series, removed ones, meanings."""

from __future__ import annotations

import asyncio

import pytest

from ingest.remotewrite import receiver
from ingest.remotewrite.unpacking import declared_bytes
from tests.fix_service import StartService
from tests.integration.ingest.remotewrite.test_retries import body, sums
from tests.integration.ingest.remotewrite.writing import Remote, metric, open_remote
from tests.integration.ingest.sending import Stored
from tests.remotebodies import V2Body, now_ms, series, v1_body

NOW = now_ms() // 1000 * 1000


async def test_large_bodies(remote: Remote, stored: Stored) -> None:
    """Read in a thread, known and unknown, and at once."""
    labels = {f"label_{k}": "x" * 40 for k in range(8)}
    bodies = [
        v1_body(*(series(metric(n=str(n), **labels), (NOW - t, 1.0)) for n in range(3000)))
        for t in range(4)
    ]
    assert all(declared_bytes(one) > receiver.INLINE_BYTES for one in bodies)
    answers = await asyncio.gather(*map(remote.post, bodies))
    assert {answer.status for answer in answers} == {204}
    assert await sums(stored) == (12_000, 12_000.0, 12_000, 12_000.0)
    assert await stored.value("select count(*) from tsobs.series") == 3000


async def test_more_series_than_the_cache_has_room_for(
    start_service: StartService, stored: Stored
) -> None:
    async with open_remote(await start_service(remote_write_cache_series=1000)) as remote:
        for turn in range(3):
            for part in range(4):
                sent = v1_body(
                    *(
                        series(metric(n=str(n)), (NOW - turn, 1.0))
                        for n in range(500 * part, 500 * part + 500)
                    )
                )
                assert (await remote.post(sent)).status == 204
    assert await stored.value("select count(*) from tsobs.series") == 2000
    assert await sums(stored) == (6000, 6000.0, 6000, 6000.0)


async def test_bodies_wait_at_the_gate_and_then_know_more(
    remote: Remote, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thirty bodies with the same new series: few of them ask for ids."""
    bodies = [
        v1_body(*(series(metric(n=str(n)), (NOW - t, 1.0)) for n in range(100))) for t in range(30)
    ]
    answers = await asyncio.gather(*map(remote.post, bodies))
    assert {answer.status for answer in answers} == {204}
    assert await stored.value("select count(*) from tsobs.series") == 100
    async with remote.session.get(f"{remote.url}/metrics/service") as answer:
        page = await answer.text()
    [line] = [one for one in page.splitlines() if one.startswith("tsobs_remote_write_series_resol")]
    assert 100 <= float(line.split()[-1]) <= 100 * 16


async def test_meanings_that_were_not_written_are_told_again(
    remote: Remote, stored: Stored
) -> None:
    await stored.connection.execute(
        "alter table tsobs_store.metric_metadata add constraint poison check (help <> 'bad')"
    )
    told = V2Body().add(metric(), (NOW, 1.0), metadata=(1, "bad", "")).packed()
    assert (await remote.post(told, 2)).status == 400
    await stored.connection.execute(
        "alter table tsobs_store.metric_metadata drop constraint poison"
    )
    assert (await remote.post(told, 2)).status == 204
    assert await stored.value("select help from tsobs.metric_metadata") == "bad"


async def test_a_stopping_service_answers_what_it_has(
    start_service: StartService, stored: Stored
) -> None:
    async with open_remote(await start_service()) as remote:
        answers = await asyncio.gather(*(remote.post(body(n)) for n in range(20)))
        assert {answer.status for answer in answers} == {204}
    assert (await sums(stored))[0] == 400
