"""A site written straight into the store, so that every number that is read back is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

INTERVAL_S = 15.0


class Site:
    """Nodes, jobs and what they used; `now` is the newest sample's time, on the minute."""

    def __init__(self, store: asyncpg.Connection[asyncpg.Record]) -> None:
        self.store = store
        self.now = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)

    def at(self, seconds: float) -> datetime:
        """A time relative to `now`."""
        return self.now + timedelta(seconds=seconds)

    async def put(self, table: str, **values: Any) -> int:
        """Inserts one row; returns its first column."""
        columns = ", ".join(values)
        places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
        key: int = await self.store.fetchval(
            f"insert into tsobs_store.{table} as t ({columns}) values ({places})"
            f" returning (to_jsonb(t) ->> '{_KEYS.get(table, next(iter(values)))}')",
            *values.values(),
        )
        return int(key) if table in _KEYS else 0

    async def node(self, name: str = "n1", **values: Any) -> int:
        """A node that was just sampled."""
        given: dict[str, Any] = {
            "cluster": "alpha",
            "interval_s": INTERVAL_S,
            "last_sample_at": self.now,
        }
        return await self.put("node", name=name, **{**given, **values})

    async def job(self, job_id: str = "1", **values: Any) -> int:
        """A running job of alice that began an hour ago."""
        given: dict[str, Any] = {"cluster": "alpha", "scheduler": "slurm", "restart_count": 0}
        given |= {"user_name": "alice", "state": "running"}
        given |= {"start_at": self.at(-3600), "first_seen_at": self.at(-3600)}
        return await self.put("job", job_id=job_id, **{**given, **values})

    async def job_node(self, job_key: int, node_id: int, **values: Any) -> None:
        """What a job used on a node, just sampled."""
        given: dict[str, Any] = {
            "interval_s": INTERVAL_S,
            "sample_count": 1,
            "first_interval_s": INTERVAL_S,
        }
        given |= {"first_sample_at": self.at(-3585), "last_sample_at": self.now}
        await self.put("job_node", job_key=job_key, node_id=node_id, **{**given, **values})

    async def gpu(self, node_id: int, uuid: str = "GPU-1", **values: Any) -> int:
        """A GPU that was just sampled."""
        given: dict[str, Any] = {
            "vendor": "nvidia",
            "interval_s": INTERVAL_S,
            "last_sample_at": self.now,
        }
        return await self.put("gpu", uuid=uuid, node_id=node_id, **{**given, **values})

    async def job_gpu(self, job_key: int, gpu_id: int, node_id: int, **values: Any) -> None:
        """What a job used of a GPU, just sampled."""
        given: dict[str, Any] = {
            "share": 1.0,
            "first_sample_at": self.at(-3585),
            "last_sample_at": self.now,
        }
        await self.put(
            "job_gpu", job_key=job_key, gpu_id=gpu_id, node_id=node_id, **{**given, **values}
        )

    async def job_sample(self, seconds: float, job_key: int, node_id: int, **values: Any) -> None:
        """A row of a job on a node whose interval ends at `at(seconds)`."""
        given: dict[str, Any] = {"time": self.at(seconds), "interval_s": INTERVAL_S}
        await self.put("job_sample", job_key=job_key, node_id=node_id, **{**given, **values})

    async def gpu_sample(self, seconds: float, gpu_id: int, node_id: int, **values: Any) -> None:
        """A row of a GPU whose interval ends at `at(seconds)`."""
        given: dict[str, Any] = {"time": self.at(seconds), "interval_s": INTERVAL_S, "share": 1.0}
        await self.put("gpu_sample", gpu_id=gpu_id, node_id=node_id, **{**given, **values})

    async def node_sample(self, seconds: float, node_id: int, **values: Any) -> None:
        """A row of a node whose interval ends at `at(seconds)`."""
        given: dict[str, Any] = {"time": self.at(seconds), "interval_s": INTERVAL_S}
        await self.put("node_sample", node_id=node_id, **{**given, **values})


_KEYS = {"node": "node_id", "job": "job_key", "gpu": "gpu_id"}
