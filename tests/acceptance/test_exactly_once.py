"""Acceptance 3: agents, service and database killed at random lose nothing and double nothing."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import numpy as np
import orjson
import pytest

from tests.acceptance.asking import get, wait_until
from tests.bench.sampledata import batch
from tests.fix_cgroup import SlurmJobs
from tests.kills import send_through_kills
from tests.processes import AgentProcess, ServiceProcess
from tsobs.columns import TABLES, Kind
from tsobs.embedded.cluster import Cluster
from tsobs.migrate import migrate

BURN = "while True: sum(range(10_000))"


@pytest.mark.root
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kills", [12, pytest.param(50, marks=pytest.mark.long)])
def test_agent_killed_at_random(
    database_url: str, slurm_v1_job: SlurmJobs, tmp_path: Path, kills: int
) -> None:
    """kill -9 of the agent: the sum in the database equals cpuacct.usage to 1 %."""
    source = random.Random(kills)
    with ServiceProcess(database_url) as service:
        job = slurm_v1_job(job_id="880002")
        agent = AgentProcess(service.url, tmp_path / "state", node_name=job.node, interval=1)
        with agent:
            wait_until(lambda: bool(get(f"{service.url}/v1/nodes")[1]["nodes"]))
            burner = job.run([sys.executable, "-c", BURN])
            for _ in range(kills):
                time.sleep(source.uniform(0.05, 1.6))
                agent.kill()
                agent.start()
            burner.kill()
            burner.wait()
            counted_s = job.usage_s()
            # Two rounds after the last crash: what was spooled, and what was used since.
            wait_until(lambda: _told(service.url) == pytest.approx(counted_s, rel=0.01), 15)
            time.sleep(2.5)
            assert _told(service.url) == pytest.approx(counted_s, rel=0.01)
        asyncio.run(_check_totals(database_url))


def _told(url: str) -> float:
    """CPU seconds of the job, by the API; 0 before it is known."""
    cpu_s: float = get(f"{url}/v1/jobs/880002")[1].get("cpu_seconds", 0.0)
    return cpu_s


class Sender:
    """An agent as to the protocol: the same bytes until a 200, one batch after the other."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.sent: list[dict[str, Any]] = []
        self._stream = f"{random.getrandbits(128):032x}"
        self._now = time.time() - 60

    async def run(self, url: str, client: aiohttp.ClientSession, enough: asyncio.Event) -> None:
        """Posts until it is enough; a lost answer, a refused connection and a 503 are tried
        again."""
        while not enough.is_set():
            content = self._batch(len(self.sent) + 1)
            self.sent.append(content)
            data = orjson.dumps(content)
            delivered = False
            while not delivered:
                delivered = await self._post(url, client, data)
                await asyncio.sleep(0 if delivered else 0.1)

    def _batch(self, seq: int) -> dict[str, Any]:
        content = batch(
            node=f"k{self.number}",
            seq=seq,
            jobs=3,
            intervals=2,
            node_rows=2,
            now=self._now + seq * 0.01,
            seed=self.number * 100_000 + seq,
        )
        return {**content, "stream": self._stream}

    async def _post(self, url: str, client: aiohttp.ClientSession, data: bytes) -> bool:
        with suppress(aiohttp.ClientError, TimeoutError):
            async with client.post(
                f"{url}/v1/samples", data=data, headers={"Content-Type": "application/json"}
            ) as answer:
                text = await answer.text()
                assert answer.status in (200, 503), text
                return answer.status == 200
        return False


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kills", [3, pytest.param(12, marks=pytest.mark.long)])
def test_database_and_service_killed_in_a_stream(private_cluster: Cluster, kills: int) -> None:
    """50 senders; kill -9 of the database, then of the service, again and again: all sums right."""
    asyncio.run(migrate(private_cluster.url()))
    senders = [Sender(number) for number in range(50)]
    with ServiceProcess(private_cluster.url(), log_level="error") as service:
        asyncio.run(send_through_kills(private_cluster, service, senders, kills))
    asyncio.run(_check_sent(private_cluster.url(), senders))
    asyncio.run(_check_totals(private_cluster.url()))


async def _check_sent(url: str, senders: list[Sender]) -> None:
    """Rows and the sum of every column, by node, against what was sent."""
    connection = await asyncpg.connect(url)
    for name in ("job_sample", "node_sample"):
        columns = [column.name for column in TABLES[name].columns]
        sums = ", ".join(f"sum({column})" for column in columns)
        rows = await connection.fetch(f"select node, count(*), {sums} from tsobs.{name} group by 1")
        found = {row[0]: np.array(row[1:], float) for row in rows}
        assert len(found) == len(senders)
        for sender in senders:
            tables = [content["tables"][name] for content in sender.sent]
            sent = [sum(len(table["time"]) for table in tables)]
            sent += [sum(map(sum, (table[column] for table in tables))) for column in columns]
            np.testing.assert_allclose(found[f"k{sender.number}"], sent, rtol=1e-9)
    await connection.close()


async def _check_totals(url: str) -> None:
    """Running totals equal a recount of the samples, column by column."""
    connection = await asyncpg.connect(url)
    for total, sample, keys in (
        ("job_node", "job_sample", "job_key, node_id"),
        ("node", "node_sample", "node_id"),
    ):
        deltas = [c.name for c in TABLES[sample].columns if c.kind is Kind.DELTA]
        sums = ", ".join(f"sum({column}) as {column}" for column in deltas)
        recount = await connection.fetch(
            f"select {keys}, count(*) as sample_count, {sums} from tsobs.{sample} group by {keys}"
        )
        kept: list[Any] = await connection.fetch(
            f"select {keys}, sample_count, {', '.join(deltas)} from tsobs.{total}"
            f" where sample_count > 0"
        )
        assert recount
        _compare(recount, kept, keys.split(", "))
    await connection.close()


def _compare(recount: list[Any], kept: list[Any], keys: list[str]) -> None:
    def keyed(rows: list[Any]) -> dict[tuple[Any, ...], list[float]]:
        return {
            tuple(row[key] for key in keys): [
                float("nan") if value is None else float(value)
                for name, value in row.items()
                if name not in keys
            ]
            for row in rows
        }

    left, right = keyed(recount), keyed(kept)
    assert left.keys() == right.keys()
    for key, values in left.items():
        np.testing.assert_allclose(right[key], values, rtol=1e-9)
