"""The ledger: bodies sent again, also at the same time and to another process, count once."""

from __future__ import annotations

import asyncio
import random

from ingest.remotewrite.storedbody import body_hash
from tests.fix_service import StartService
from tests.integration.ingest.remotewrite.writing import Remote, metric, open_remote
from tests.integration.ingest.sending import Stored
from tests.remotebodies import V2Body, now_ms, series, v1_body

NOW = now_ms() // 1000 * 1000


def body(n: int, count: int = 20) -> bytes:
    """Samples of value 1 of `count` series, at a time of their own."""
    return v1_body(*(series(metric(job=f"j{k}"), (NOW - 1000 * n, 1.0)) for k in range(count)))


async def sums(stored: Stored) -> tuple[int, float, int, float]:
    """Count and sum of samples, and of the five-minute rollup."""
    raw = await stored.one("select count(*), sum(value) from tsobs.sample")
    rolled = await stored.one("select sum(count)::int8 as count, sum(sum) from tsobs.sample_5m")
    return (*raw.values(), *rolled.values())


async def test_a_retry_is_written_and_not_stored_again(remote: Remote, stored: Stored) -> None:
    for _ in range(3):
        assert (await remote.post(body(0))).status == 204
    assert await sums(stored) == (20, 20.0, 20, 20.0)
    v2 = V2Body().add(metric(), (NOW - 500, 1.0), exemplars=[([("t", "1")], 1.0, NOW)]).packed()
    for _ in range(3):
        answer = await remote.post(v2, 2)
        assert (answer.status, answer.written) == (204, (1, 1, 0))
    assert await sums(stored) == (21, 21.0, 21, 21.0)
    assert await stored.value("select count(*) from tsobs.exemplar") == 1
    hashes = {row["hash"] for row in await stored.rows("ingest_body")}
    assert hashes == {body_hash(body(0), 1), body_hash(v2, 2)}


async def test_the_same_bytes_at_the_same_time(remote: Remote, stored: Stored) -> None:
    """Of new series and of known ones, alone and among others."""
    for n in range(5):
        together = [body(10 * n)] * 4 + [body(10 * n + 1)] * 3 + [body(10 * n + 2)]
        random.Random(n).shuffle(together)
        answers = await asyncio.gather(*map(remote.post, together))
        assert {answer.status for answer in answers} == {204}
    assert await sums(stored) == (300, 300.0, 300, 300.0)
    assert await stored.value("select count(*) from tsobs.series") == 20


async def test_two_services(start_service: StartService, stored: Stored) -> None:
    """One series new to both is made once; a body sent to both is stored once."""
    urls = [await start_service() for _ in range(2)]
    async with open_remote(urls[0]) as one, open_remote(urls[1]) as other:
        for n in range(5):
            fresh = v1_body(
                *(series(metric(f"m{n}", job=f"j{k}"), (NOW - n, 1.0)) for k in range(300))
            )
            posts = [sender.post(fresh) for sender in (one, other) for _ in range(2)]
            # The same series in bodies of their own.
            posts += [
                sender.post(
                    v1_body(*(series(metric(f"m{n}", job=f"j{k}"), (at, 1.0)) for k in range(300)))
                )
                for sender, at in ((one, NOW - 10_000 - n), (other, NOW - 20_000 - n))
            ]
            answers = await asyncio.gather(*posts)
            assert {answer.status for answer in answers} == {204}
    assert await stored.value("select count(*) from tsobs.series") == 1500
    assert await sums(stored) == (4500, 4500.0, 4500, 4500.0)


async def test_a_body_is_not_the_same_in_another_version(remote: Remote) -> None:
    data = body(0)
    assert body_hash(data, 1) != body_hash(data, 2)
    assert (await remote.post(data)).status == 204
    # Read as 2.0 it has nothing in it: the fields are reserved there.
    answer = await remote.post(data, 2)
    assert answer.written == (0, 0, 0)


async def test_what_was_refused_in_part_is_refused_again(remote: Remote, stored: Stored) -> None:
    mixed = v1_body(series(metric(), (NOW, 1.0)), series({"no": "name"}, (NOW, 1.0)))
    for _ in range(3):
        answer = await remote.post(mixed)
        assert answer.status == 400
        assert answer.body["details"]["stored_count"] == 1
    assert await sums(stored) == (1, 1.0, 1, 1.0)
