"""Names to ids: nodes, GPUs and jobs of a batch, from a bounded cache, else from the database.

Resolving has a short transaction of its own: an id that is made for a batch that then fails is
harmless,
and the flush holds no lock on names while it copies.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from ingest.batch import Batch, Gpu, Job
from tsobs import __version__
from tsobs.db import Connection, Database

__all__ = ["Ids", "Names"]

# Entries kept of each kind: about 100 MB at the most.
CACHE_ENTRIES = 200_000
AGENT_RANK = 2


class Ids(NamedTuple):
    """The ids of a batch's node, and of its jobs and GPUs in the order of its sections."""

    node_id: int
    job_keys: Sequence[int]
    gpu_ids: Sequence[int]


class _Cache:
    """Least recently used ids; each with what was told of the thing when its id was asked for."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Any, tuple[int, Any]] = OrderedDict()

    def get(self, key: Any, told: Any) -> int | None:
        """The id, unless the thing is unknown or something new is told of it."""
        entry = self._entries.get(key)
        if entry is None or entry[1] != told:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: Any, told: Any, number: int) -> None:
        """Remembers an id."""
        self._entries[key] = (number, told)
        if len(self._entries) > CACHE_ENTRIES:
            self._entries.popitem(last=False)


class Names:
    """Resolves batches; `cluster` is for agents that do not name theirs."""

    def __init__(self, database: Database, cluster: str) -> None:
        self._database = database
        self._cluster = cluster
        self._nodes = _Cache()
        self._jobs = _Cache()
        self._gpus = _Cache()

    async def resolve(self, batch: Batch) -> Ids:
        """Ids for everything a batch names; what is new is made, as running jobs seen by an
        agent."""
        found = self._cached(batch)
        if found is not None:
            return found
        async with self._database.transaction() as connection:
            return await self._ask(connection, batch)

    def _cached(self, batch: Batch) -> Ids | None:
        cluster = batch.cluster or self._cluster
        node_id = self._nodes.get((cluster, batch.node.name), _node_told(batch))
        if node_id is None:
            return None
        job_keys = [self._jobs.get((node_id, job[:4]), _job_told(job)) for job in batch.jobs]
        gpu_ids = [self._gpus.get(gpu.uuid, (node_id, gpu)) for gpu in batch.gpus]
        if None in job_keys or None in gpu_ids:
            return None
        return Ids(node_id, job_keys, gpu_ids)  # type: ignore[arg-type]

    async def _ask(self, connection: Connection, batch: Batch) -> Ids:
        cluster = batch.cluster or self._cluster
        node_id: int = await connection.fetchval(
            "ensure_node",
            cluster,
            batch.node.name,
            list(batch.node.aliases),
            batch.machine_id,
            batch.agent_version,
        )
        job_keys: dict[Job, int] = {}
        # Sorted, so that two batches with the same new jobs do not wait for each other in a circle.
        for job in sorted(set(batch.jobs), key=lambda job: (job.scheduler, job.job_id)):
            job_keys[job] = await self._ask_job(connection, batch, cluster, node_id, job)
        gpu_ids = {
            gpu: await _ask_gpu(connection, node_id, gpu)
            for gpu in sorted(set(batch.gpus), key=lambda gpu: gpu.uuid)
        }
        self._nodes.put((cluster, batch.node.name), _node_told(batch), node_id)
        for job, key in job_keys.items():
            self._jobs.put((node_id, job[:4]), _job_told(job), key)
        for gpu, gpu_id in gpu_ids.items():
            self._gpus.put(gpu.uuid, (node_id, gpu), gpu_id)
        return Ids(
            node_id, [job_keys[job] for job in batch.jobs], [gpu_ids[gpu] for gpu in batch.gpus]
        )

    async def _ask_job(
        self, connection: Connection, batch: Batch, cluster: str, node_id: int, job: Job
    ) -> int:
        known = self._jobs.get((node_id, job[:4]), _job_told(job))
        if known is not None:
            return known
        facts = {
            "state": "running",
            "start_at": _iso(job.started_at),
            "user_name": job.user_name,
            "uid": job.uid,
            "nodes": [batch.node.name],
            "oom_killed": job.oom_killed or None,
            "ingest_version": f"agent-{batch.agent_version or __version__}",
        }
        row = await connection.fetchrow(
            "observe_job",
            cluster,
            job.scheduler,
            job.job_id,
            job.restart_count,
            _moment(job.started_at if job.started_at is not None else _first_time(batch, job)),
            job.started_at is not None,
            AGENT_RANK,
            AGENT_RANK,
            orjson.dumps(facts).decode(),
            "observed",
            f"agent@{batch.node.name}",
            "agent",
            None,
            None,
        )
        assert row is not None
        await connection.execute(
            "allocate_job_node", row["job_key"], node_id, job.cpus, _whole(job.memory_bytes)
        )
        key: int = row["job_key"]
        return key


async def _ask_gpu(connection: Connection, node_id: int, gpu: Gpu) -> int:
    gpu_id: int = await connection.fetchval(
        "ensure_gpu",
        gpu.uuid,
        gpu.parent_uuid,
        node_id,
        gpu.vendor,
        gpu.model,
        gpu.memory_total_bytes,
    )
    return gpu_id


def _node_told(batch: Batch) -> Any:
    return (batch.node.aliases, batch.machine_id, batch.agent_version)


def _job_told(job: Job) -> Any:
    return (job.user_name, job.uid, job.cpus, job.memory_bytes, job.oom_killed or None)


def _first_time(batch: Batch, job: Job) -> float:
    """The oldest time at which the batch speaks of the job: its rows, its end, else now."""
    at = batch.jobs.index(job)
    table = batch.tables.get("job_sample", {"job": (), "time": ()})
    times = [t for n, t in zip(table["job"], table["time"], strict=True) if n == at]
    if job.gone_at is not None:
        times.append(job.gone_at)
    now = datetime.now(UTC).timestamp()
    # A row with a wild time is refused later; it must not make a job in another century.
    return max(min(times, default=now), now - 366 * 86_400)


def _moment(unix_s: float) -> datetime:
    return datetime.fromtimestamp(min(unix_s, 7_258_118_400), UTC)


def _iso(unix_s: float | None) -> str | None:
    return None if unix_s is None else _moment(unix_s).isoformat()


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)
