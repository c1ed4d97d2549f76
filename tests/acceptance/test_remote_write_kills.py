"""kill -9 of the service and of the database under remote-write: every sample once, raw and in the
rollup."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress

import aiohttp
import asyncpg
import pytest

from tests.kills import send_through_kills
from tests.processes import ServiceProcess
from tests.remotebodies import V2Body, headers, series, v1_body
from tests.rollups import roll_up
from tsobs.embedded.cluster import Cluster
from tsobs.migrate import migrate

START_MS = int(time.time() * 1000) - 3_600_000


class Shard:
    """A shard of a sender: the same bytes until an answer below 500, one body after the other."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.bodies = 0
        self.samples = 0
        self.total = 0
        self.retries = 0
        self._source = random.Random(number)

    async def run(self, url: str, client: aiohttp.ClientSession, enough: asyncio.Event) -> None:
        """Posts until it is enough."""
        version = 1 + self.number % 2
        while not enough.is_set():
            data = self._body(version)
            while not await self._post(url, client, data, version):
                self.retries += 1
                await asyncio.sleep(0.1)

    def _body(self, version: int) -> bytes:
        n = self.bodies
        self.bodies += 1
        at = START_MS + 100 * n
        labels = [
            # Most are of every body, a few are new with each.
            {"__name__": "killed", "shard": str(self.number), "k": str(k if k < 45 else k + 50 * n)}
            for k in range(50)
        ]
        values = [self._source.randrange(1000) for _ in labels]
        self.samples += len(values)
        self.total += sum(values)
        if version == 1:
            return v1_body(
                *(series(each, (at, float(v))) for each, v in zip(labels, values, strict=True))
            )
        body = V2Body()
        for each, value in zip(labels, values, strict=True):
            body.add(each, (at, float(value)), metadata=(2, "Killed.", ""))
        return body.packed()

    async def _post(
        self, url: str, client: aiohttp.ClientSession, data: bytes, version: int
    ) -> bool:
        with suppress(aiohttp.ClientError, TimeoutError):
            async with client.post(
                f"{url}/api/v1/write", data=data, headers=headers(version)
            ) as answer:
                text = await answer.text()
                assert answer.status in (204, 503), text
                return answer.status == 204
        return False


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kills", [2, pytest.param(15, marks=pytest.mark.long)])
def test_database_and_service_killed_under_remote_write(
    private_cluster: Cluster, kills: int
) -> None:
    asyncio.run(migrate(private_cluster.url()))
    shards = [Shard(number) for number in range(12)]
    with ServiceProcess(private_cluster.url(), log_level="error", workers=2) as service:
        asyncio.run(send_through_kills(private_cluster, service, shards, kills))
    asyncio.run(_check(private_cluster.url(), shards))


async def _check(url: str, shards: list[Shard]) -> None:
    await roll_up(url)
    connection = await asyncpg.connect(url)
    for relation, count, total in (
        ("sample", "count(*)", "sum(value)"),
        ("sample_5m", "sum(count)::int8", "sum(sum)"),
    ):
        rows = await connection.fetch(
            f"select labels->>'shard' as shard, {count}, {total} from tsobs.{relation} group by 1"
        )
        found = {int(row[0]): (row[1], row[2]) for row in rows}
        assert found == {shard.number: (shard.samples, shard.total) for shard in shards}, relation
    orphans = "select count(*) from tsobs_store.sample where series_id not in"
    assert await connection.fetchval(f"{orphans} (select series_id from tsobs_store.series)") == 0
    assert sum(shard.retries for shard in shards) > 0
    await connection.close()
