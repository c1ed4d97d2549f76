"""Maintenance takes series away while services remember them: nothing is stored under a dead id."""

from __future__ import annotations

import asyncio

from tests.fix_service import StartService
from tests.integration.ingest.remotewrite.test_retries import body, sums
from tests.integration.ingest.remotewrite.writing import Remote, metric, open_remote, stored_samples
from tests.integration.ingest.sending import Stored
from tests.remotebodies import V2Body, now_ms, series, v1_body
from tsobs.sqlfiles import query

NOW = now_ms() // 1000 * 1000
ORPHANS = """
select (select count(*) from tsobs_store.sample where series_id not in
        (select series_id from tsobs_store.series))
    + (select count(*) from tsobs_store.exemplar where series_id not in
        (select series_id from tsobs_store.series))
"""


async def remove_all(stored: Stored) -> int:
    """Removes every series and its samples, as if all retention had passed."""
    await stored.connection.execute("truncate tsobs_store.sample, tsobs_store.exemplar")
    await stored.connection.execute(
        "update tsobs_store.series set last_seen = now() - interval '9 years',"
        " ended_at = now() - interval '9 years'"
    )
    removed: int = await stored.value("select tsobs_store.remove_series()")
    return removed


async def test_series_that_are_removed_are_made_again(remote: Remote, stored: Stored) -> None:
    """Of two services, too, and also when the same series is removed twice."""
    for n in range(3):
        assert (await remote.post(body(2 * n))).status == 204
        assert await remove_all(stored) == 20
        answers = await asyncio.gather(*(remote.post(body(2 * n + 1)) for _ in range(3)))
        assert {answer.status for answer in answers} == {204}
        assert await stored.value(ORPHANS) == 0
        assert await stored.value("select count(*) from tsobs.sample") == 20
    assert await stored.value("select count(*) from tsobs.series") == 20


async def test_only_what_was_removed_is_forgotten(
    start_service: StartService, stored: Stored
) -> None:
    urls = [await start_service() for _ in range(2)]
    kept, gone = metric(job="kept"), metric(job="gone")
    async with open_remote(urls[0]) as one, open_remote(urls[1]) as other:
        for n, remote in enumerate((one, other)):
            sent = v1_body(series(kept, (NOW - n, 1.0)), series(gone, (NOW - n, 1.0)))
            assert (await remote.post(sent)).status == 204
        await stored.connection.execute(
            "update tsobs_store.series set last_seen = now() - interval '9 years',"
            " ended_at = now() - interval '9 years' where series_id in"
            " (select series_id from tsobs.series where labels->>'job' = 'gone')"
        )
        await stored.connection.execute(
            "delete from tsobs_store.sample where series_id in"
            " (select series_id from tsobs.series where labels->>'job' = 'gone')"
        )
        assert await stored.value("select tsobs_store.remove_series()") == 1
        for n, remote in enumerate((one, other)):
            sent = v1_body(series(kept, (NOW - 10 - n, 2.0)), series(gone, (NOW - 10 - n, 2.0)))
            assert (await remote.post(sent)).status == 204
    assert await stored.value(ORPHANS) == 0
    jobs = [(labels["job"], value) for _, labels, _, value in await stored_samples(stored)]
    assert sorted(jobs) == [("gone", 2.0)] * 2 + [("kept", 1.0)] * 2 + [("kept", 2.0)] * 2


async def test_exemplars_of_removed_series(remote: Remote, stored: Stored) -> None:
    for n in range(3):
        sent = V2Body().add(
            metric(),
            (NOW + n, 1.0),
            exemplars=[([("t", "x")], 1.0, NOW + n)],
            metadata=(1, "h", ""),
        )
        assert (await remote.post(sent.packed(), 2)).written == (1, 1, 0)
        assert await stored.value(ORPHANS) == 0
        assert await remove_all(stored) == 1


async def test_removals_long_ago_have_everything_forgotten(remote: Remote, stored: Stored) -> None:
    assert (await remote.post(body(0))).status == 204
    assert await remove_all(stored) == 20
    await stored.connection.execute(
        "update tsobs_store.series_removed set removed_at = now() - interval '30 days'"
    )
    assert (await remote.post(body(1))).status == 204
    assert await stored.value(ORPHANS) == 0


async def test_series_under_constant_removal(remote: Remote, stored: Stored) -> None:
    """Whatever is answered 2xx has its series."""

    async def removing() -> None:
        for _ in range(20):
            await stored.connection.execute(
                "update tsobs_store.series set ended_at = now() - interval '9 years'"
            )
            await stored.value("select tsobs_store.remove_series()")
            await asyncio.sleep(0.02)

    async def sending(k: int) -> None:
        for n in range(10):
            answer = await remote.post_until_taken(
                v1_body(*(series(metric(k=str(k), j=str(j)), (NOW - n, 1.0)) for j in range(50)))
            )
            assert answer.status == 204

    await asyncio.gather(removing(), *map(sending, range(4)))
    # Those removed in the end have lost their samples' names; who wrote after that has one.
    assert (await remote.post(body(0))).status == 204
    assert (await sums(stored))[0] >= 20


async def test_touched_series_are_alive(remote: Remote, stored: Stored) -> None:
    """A series that ended comes back with its first sample."""
    assert (await remote.post(body(0))).status == 204
    await stored.connection.execute(
        "update tsobs_store.series set last_seen = now() - interval '5 hours',"
        " ended_at = now() - interval '3 hours'"
    )
    # Another process, or this one an hour later: its cache does not know the series as alive.
    resolved = await stored.all(
        query("touch_series"),
        [row["series_id"] for row in await stored.rows("series")],
    )
    assert resolved == []
    alive = "select count(*) from tsobs.series where ended_at is null"
    assert await stored.value(alive) == 20
