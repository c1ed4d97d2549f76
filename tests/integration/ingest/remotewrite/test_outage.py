"""The database goes away, or refuses: senders keep their data and it is stored once in the end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest

from ingest.remotewrite.storedbody import body_hash
from tests.fix_proxy import Proxy
from tests.fix_service import StartService
from tests.integration.ingest.remotewrite.test_retries import body, sums
from tests.integration.ingest.remotewrite.writing import Remote, metric, open_remote
from tests.integration.ingest.sending import Stored
from tests.integration.ingest.test_outage import cutting
from tests.remotebodies import now_ms, series, v1_body

NOW = now_ms() // 1000 * 1000


async def test_while_the_database_is_away_senders_are_told_to_come_again(
    start_service: StartService, database_proxy: Proxy, stored: Stored
) -> None:
    url = await start_service(database_url=database_proxy.url)
    metadata = v1_body(metadata=[(1, "x", "Help.", "")])
    async with open_remote(url) as remote:
        assert (await remote.post(body(0))).status == 204
        await database_proxy.cut()
        fresh = v1_body(series(metric("new"), (NOW, 1.0)))
        for sent in (body(0), body(1), fresh, metadata):
            answer = await remote.post(sent)
            assert (answer.status, answer.body["error"]) == (503, "unavailable")
            assert 1 <= int(answer.headers["Retry-After"]) <= 60
        # What can be judged without the database is.
        assert (await remote.post(b"garbage")).status == 400
        await database_proxy.open()
        for sent in (body(0), body(1), fresh, metadata):
            assert (await remote.post_until_taken(sent)).status == 204
    assert await sums(stored) == (41, 41.0, 41, 41.0)


async def send_in_order(remote: Remote, bodies: Sequence[bytes]) -> int:
    """How often bodies were sent."""
    for one in bodies:
        assert (await remote.post_until_taken(one)).status == 204
    return len(bodies)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("shards", "each", "seed"), [(6, 6, 0), pytest.param(30, 100, 1, marks=pytest.mark.long)]
)
async def test_cut_off_again_and_again_everything_is_stored_once(
    start_service: StartService,
    database_proxy: Proxy,
    stored: Stored,
    shards: int,
    each: int,
    seed: int,
) -> None:
    """Answers get lost when the connection is cut after the commit: the retry must not count."""
    urls = [await start_service(database_url=database_proxy.url) for _ in range(2)]
    source = random.Random(seed)
    over = asyncio.Event()

    def bodies(shard: int) -> list[bytes]:
        # Some series are of every body, others come new with each; all numbers are whole.
        return [
            v1_body(
                *(
                    series(
                        metric(shard=str(shard), k=str(k if k < 40 else k + 100 * n)),
                        (NOW - 1000 * n, float(source.randrange(100))),
                    )
                    for k in range(50)
                )
            )
            for n in range(each)
        ]

    sent = [bodies(shard) for shard in range(shards)]
    async with open_remote(urls[0]) as one, open_remote(urls[1]) as other:
        chaos = asyncio.create_task(cutting(database_proxy, random.Random(seed), over))
        await asyncio.gather(
            *(
                send_in_order(source.choice([one, other]), part)
                for part in (*sent, *sent[: shards // 2])  # half of the shards from two senders
            )
        )
        over.set()
        assert await chaos > 3
    total = await stored.value(
        "select sum(value) from (select distinct series_id, time, value from tsobs.sample) as s"
    )
    count = 50 * each * shards
    assert await sums(stored) == (count, total, count, total)
    assert await stored.value("select count(*) from tsobs.series") == shards * (40 + 10 * each)
    orphans = "select count(*) from tsobs_store.sample where series_id not in (select series_id"
    assert await stored.value(f"{orphans} from tsobs_store.series)") == 0


POISON = "alter table tsobs_store.ingest_body add constraint poison check (hash not in ({}))"


async def test_a_body_that_the_database_refuses_fails_alone(remote: Remote, stored: Stored) -> None:
    assert (await remote.post(body(0))).status == 204  # the series are known
    bad = [body(n) for n in (5, 9)]
    hashes = ", ".join(f"'{body_hash(one, 1)}'" for one in bad)
    await stored.connection.execute(POISON.format(hashes))
    together = [body(n) for n in range(1, 12)]
    answers = await asyncio.gather(*map(remote.post, together))
    for one, answer in zip(together, answers, strict=True):
        assert answer.status == (400 if one in bad else 204)
    assert await sums(stored) == (200, 200.0, 200, 200.0)
    await stored.connection.execute("alter table tsobs_store.ingest_body drop constraint poison")
    assert (await remote.post(bad[0])).status == 204
    assert await sums(stored) == (220, 220.0, 220, 220.0)


async def test_a_body_that_never_succeeds_is_refused_in_the_end(
    remote: Remote, stored: Stored
) -> None:
    """The database fails in a way that tells nothing of the data; but others are stored."""
    bad = body(5)
    await stored.connection.execute(
        "create function public.break_it() returns trigger language plpgsql as $$ begin"
        f" if new.hash = '{body_hash(bad, 1)}' then"
        " raise exception 'a bug' using errcode = 'XX000'; end if; return new; end $$;"
        "create trigger break_it before insert on tsobs_store.ingest_body"
        " for each row execute function public.break_it()"
    )
    statuses = []
    for n in range(10, 17):
        statuses.append((await remote.post(bad)).status)
        assert (await remote.post(body(n))).status == 204
    assert statuses[:2] == [503, 503]
    assert 400 in statuses
    await stored.connection.execute("drop trigger break_it on tsobs_store.ingest_body")


async def test_a_full_queue_is_503_and_nothing_is_lost(
    start_service: StartService, stored: Stored
) -> None:
    url = await start_service(remote_write_queue_bytes=1 << 20, remote_write_connections=1)
    noise = random.Random(4)
    bodies = [
        v1_body(
            *(
                series(metric(k=str(k), noise=noise.randbytes(120).hex()), (NOW - n, 1.0))
                for k in range(1000)
            )
        )
        for n in range(12)
    ]
    async with open_remote(url) as remote:
        answers = await asyncio.gather(*map(remote.post, bodies))
        refused = [answer for answer in answers if answer.status == 503]
        assert refused
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
        again = await asyncio.gather(*(remote.post_until_taken(b, pause_s=0.2) for b in bodies))
        assert {answer.status for answer in again} == {204}
    assert await sums(stored) == (12_000, 12_000.0, 12_000, 12_000.0)
