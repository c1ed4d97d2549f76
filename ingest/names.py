"""Names to ids: nodes, GPUs and jobs of a batch, from a bounded cache, else from the database.

Resolving has a short transaction of its own: an id that is made for a batch that then fails is
harmless,
and the flush holds no lock on names while it copies.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ingest.batch import Batch, Gpu, Job
from ingest.observation import Observation, columns_of
from tsobs import __version__
from tsobs.db import Database

__all__ = ["Ids", "Names"]

# Entries kept of each kind: about 100 MB at the most.
CACHE_ENTRIES = 200_000
AGENT_RANK = 2


class Ids(NamedTuple):
    """The ids of a batch's node, and of its jobs and GPUs in the order of its sections."""

    node_id: int
    job_keys: Sequence[int]
    gpu_ids: Sequence[int]
    # How often samples had been moved away from each job's row when its key was asked for.
    job_moves: Sequence[int] = ()


class _Cache:
    """Least recently used ids; each with what was told of the thing when its id was asked for."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Any, tuple[Any, Any]] = OrderedDict()

    def get(self, key: Any, told: Any) -> Any:
        """The id, unless the thing is unknown or something new is told of it."""
        entry = self._entries.get(key)
        if entry is None or entry[1] != told:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: Any, told: Any, number: Any) -> None:
        """Remembers an id."""
        self._entries[key] = (number, told)
        if len(self._entries) > CACHE_ENTRIES:
            self._entries.popitem(last=False)

    def drop(self, key: Any) -> None:
        """Forgets an id."""
        self._entries.pop(key, None)


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
        agent. Raises Overloaded when the database cannot answer now."""
        told = _Told.by(batch, batch.cluster or self._cluster)
        found = self._cached(told)
        if found is None:
            found = await self._ask(told)
            # Only now: ids of a transaction that was rolled back never were.
            self._remember(told, found)
        for job in batch.jobs:
            # Its id may come again, for another job.
            if job.gone_at is not None:
                self._jobs.drop((found.node_id, job[:4]))
        return found

    def _cached(self, told: _Told) -> Ids | None:
        node_id = self._nodes.get((told.cluster, told.batch.node.name), told.node)
        if node_id is None:
            return None
        job_keys = [self._jobs.get((node_id, job[:4]), told.job(job)) for job in told.batch.jobs]
        gpu_ids = [self._gpus.get(gpu.uuid, (node_id, gpu)) for gpu in told.batch.gpus]
        if None in job_keys or None in gpu_ids:
            return None
        return _ids(node_id, job_keys, gpu_ids)

    def forget(self, batch: Batch, ids: Ids, moved: Collection[int]) -> None:
        """Has the jobs of these keys looked up again: some of their samples are another run's."""
        for job, key in zip(batch.jobs, ids.job_keys, strict=True):
            if key in moved:
                self._jobs.drop((ids.node_id, job[:4]))

    def _remember(self, told: _Told, ids: Ids) -> None:
        batch = told.batch
        self._nodes.put((told.cluster, batch.node.name), told.node, ids.node_id)
        for job, *known in zip(batch.jobs, ids.job_keys, ids.job_moves, strict=True):
            self._jobs.put((ids.node_id, job[:4]), told.job(job), tuple(known))
        for gpu, gpu_id in zip(batch.gpus, ids.gpu_ids, strict=True):
            self._gpus.put(gpu.uuid, (ids.node_id, gpu), gpu_id)

    async def _ask(self, told: _Told) -> Ids:
        """Each kind in a transaction of its own: a flush takes rows of jobs, GPUs and nodes in
        that order, and who held a node while waiting for a job would wait in a circle with it."""
        batch = told.batch
        node_id = self._nodes.get((told.cluster, batch.node.name), told.node)
        if node_id is None:
            node_id = await self._ask_node(told)
        job_keys: dict[Job, tuple[int, int]] = {}
        gpu_ids: dict[Gpu, int] = {}
        for job in batch.jobs:
            if (known := self._jobs.get((node_id, job[:4]), told.job(job))) is not None:
                job_keys[job] = known
        for gpu in batch.gpus:
            if (known := self._gpus.get(gpu.uuid, (node_id, gpu))) is not None:
                gpu_ids[gpu] = known
        job_keys |= await self._ask_jobs(told, node_id, set(batch.jobs) - job_keys.keys())
        for gpu in set(batch.gpus) - gpu_ids.keys():
            gpu_ids[gpu] = await self._ask_gpu(gpu, node_id)
        return _ids(
            node_id, [job_keys[job] for job in batch.jobs], [gpu_ids[gpu] for gpu in batch.gpus]
        )

    async def _ask_node(self, told: _Told) -> int:
        batch = told.batch
        node_id: int = await self._database.fetchval(
            "ensure_node",
            told.cluster,
            batch.node.name,
            list(batch.node.aliases),
            batch.machine_id,
            batch.agent_version,
        )
        return node_id

    async def _ask_jobs(
        self, told: _Told, node_id: int, jobs: Collection[Job]
    ) -> dict[Job, tuple[int, int]]:
        """By job its key, and how often samples were moved away from that row."""
        if not jobs:
            return {}
        # Sorted, so that two batches with the same jobs do not wait for each other in a circle.
        asked = sorted(jobs, key=_order)
        seen = [_observation(told, job, node_id) for job in asked]
        async with self._database.transaction() as connection:
            rows = await connection.fetch("observe_jobs", *columns_of(seen))
            keys = {
                job: (row["job_key"], row["moves"]) for job, row in zip(asked, rows, strict=True)
            }
            # Last, and in the order of flushes, which take these rows too.
            allocated = {key: job for job, (key, _) in keys.items()}
            await connection.execute(
                "allocate_job_nodes",
                list(allocated),
                node_id,
                [job.cpus for job in allocated.values()],
                [_whole(job.memory_bytes) for job in allocated.values()],
            )
        return keys

    async def _ask_gpu(self, gpu: Gpu, node_id: int) -> int:
        gpu_id: int = await self._database.fetchval(
            "ensure_gpu",
            gpu.uuid,
            gpu.parent_uuid,
            node_id,
            gpu.vendor,
            gpu.model,
            gpu.memory_total_bytes,
        )
        return gpu_id


def _ids(node_id: int, jobs: Sequence[tuple[int, int]], gpu_ids: Sequence[int]) -> Ids:
    return Ids(node_id, [key for key, _ in jobs], gpu_ids, [moves for _, moves in jobs])


def _observation(told: _Told, job: Job, node_id: int) -> Observation:
    batch = told.batch
    facts = {
        "state": "running",
        "start_at": _iso(job.started_at),
        "user_name": job.user_name,
        "uid": job.uid,
        "nodes": [batch.node.name],
        "oom_killed": job.oom_killed or None,
        "name": job.name,
        "account": job.account,
        "partition": job.partition,
        "array_job_id": job.array_job_id,
        "array_task_id": job.array_task_id,
        "ingest_version": f"agent-{batch.agent_version or __version__}",
    }
    return Observation(
        cluster=told.cluster,
        scheduler=job.scheduler,
        job_id=job.job_id,
        restart_count=job.restart_count,
        at=_moment(told.first_at(job) if job.started_at is None else job.started_at),
        is_start=job.started_at is not None,
        rank=AGENT_RANK,
        state_rank=AGENT_RANK,
        facts=facts,
        kind="observed",
        actor=f"agent@{batch.node.name}",
        source="agent",
        node_id=node_id,
    )


def _order(job: Job) -> tuple[str, str, int, float]:
    return (job.scheduler, job.job_id, job.restart_count or 0, job.started_at or 0.0)


class _Told(NamedTuple):
    """What a batch tells of things; when it is as before, the database need not be asked."""

    batch: Batch
    cluster: str
    # The oldest time at which the batch speaks of a job whose start it does not know.
    first: Mapping[Job, float]

    @classmethod
    def by(cls, batch: Batch, cluster: str) -> _Told:
        """Reads a batch."""
        unknown = [(n, job) for n, job in enumerate(batch.jobs) if job.started_at is None]
        return cls(batch, cluster, _first_times(batch, unknown) if unknown else {})

    @property
    def node(self) -> Any:
        """Of the node."""
        return (self.batch.node.aliases, self.batch.machine_id, self.batch.agent_version)

    def job(self, job: Job) -> Any:
        """Of a job. One without a start is asked for again now and then, for only the time tells
        whether its id has come to mean another job."""
        hour = self.first[job] // 3600 if job.started_at is None else None
        known = (job.user_name, job.uid, job.cpus, job.memory_bytes, job.oom_killed or None)
        return (*known, *job[10:], hour)

    def first_at(self, job: Job) -> float:
        """When the batch first speaks of a job without a start, in unix seconds."""
        return self.first[job]


def _first_times(batch: Batch, jobs: Sequence[tuple[int, Job]]) -> dict[Job, float]:
    """By job, the oldest time of its rows or of its end, else now."""
    rows: dict[int, float] = {}
    table = batch.tables.get("job_sample", {"job": (), "time": ()})
    for n, at in zip(table["job"], table["time"], strict=True):
        rows[n] = min(at, rows.get(n, at))
    now = time.time()
    first: dict[Job, float] = {}
    for n, job in jobs:
        told = [at for at in (rows.get(n), job.gone_at, first.get(job)) if at is not None]
        # A row with a wild time is refused later; it must not make a job in another century.
        first[job] = min(max(min(told, default=now), now - 366 * 86_400), now)
    return first


def _moment(unix_s: float) -> datetime:
    return datetime.fromtimestamp(min(unix_s, 7_258_118_400), UTC)


def _iso(unix_s: float | None) -> str | None:
    return None if unix_s is None else _moment(unix_s).isoformat()


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)
