"""What room in the page (fillfactor) saves where every flush updates: the totals of job_node."""

from __future__ import annotations

import time
from typing import NamedTuple

import asyncpg
import numpy as np
import numpy.typing as npt

from ingest.copyformat import Key, encode, timestamps
from tests.bench.process import cpu_seconds
from tests.bench.schemadata import send
from tsobs.sqlfiles import query

__all__ = ["Updated", "update_totals"]

JOBS = 40_000
ROUNDS = 8  # how often every row is updated
TABLE = "tsobs_store.job_node"
# As ingest has it: a flush is joined with the table by key.
PLANNER = {"jit": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}

_FLOATS = """
select attname from pg_attribute
where attrelid = 'job_node_add'::regclass and attnum > 0 and atttypid = 'float8'::regtype
order by attnum
"""
_STATS = """
select n_tup_upd, n_tup_hot_upd, pg_relation_size(relid) as bytes,
    pg_current_wal_insert_lsn() - '0/0'::pg_lsn as wal, pg_stat_force_next_flush()
from pg_stat_user_tables where relid = 'tsobs_store.job_node'::regclass
"""


class Updated(NamedTuple):
    """The share of updates that stayed in their page, CPU and WAL a row, bytes a row at last."""

    hot_ratio: float
    cpu_us: float
    wal_bytes: float
    row_bytes: float


class _Flusher:
    """Adds to the totals of some jobs with the statement that ingest runs."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record], floats: list[str]) -> None:
        self._connection = connection
        self._floats = floats

    async def flush(self, jobs: npt.NDArray[np.int64]) -> None:
        """One transaction."""
        keys = {
            "job_key": Key(jobs),
            "node_id": Key((jobs // 8).astype(np.int32)),
            "sample_count": Key(np.ones(len(jobs), np.int64)),
            "first_sample_at": timestamps(np.full(len(jobs), time.time())),
            "last_sample_at": timestamps(np.full(len(jobs), time.time())),
        }
        data = encode(list(keys.values()), np.full((len(self._floats), len(jobs)), 1.5))
        async with self._connection.transaction():
            await self._connection.copy_to_table(
                "job_node_add", source=send(data), columns=[*keys, *self._floats], format="binary"
            )
            await self._connection.execute(query("add_job_node"))


async def update_totals(url: str, pid: int, *, fillfactor: int, flush_rows: int) -> Updated:
    """Flushes that each touch `flush_rows` random jobs of 40,000 that run."""
    connection = await asyncpg.connect(url, timeout=60, server_settings=PLANNER)
    try:
        await connection.execute(f"alter table {TABLE} set (fillfactor = {fillfactor})")
        await connection.execute(f"truncate {TABLE}")
        await connection.execute(query("create_job_node_add"))
        floats = [row["attname"] for row in await connection.fetch(_FLOATS)]
        flusher = _Flusher(connection, floats)
        source = np.random.default_rng(1)
        await flusher.flush(source.permutation(JOBS))
        await connection.execute(f"vacuum analyze {TABLE}")
        await connection.execute("checkpoint")
        before, used_s = await _stats(connection), cpu_seconds(pid)
        flushes = JOBS * ROUNDS // flush_rows
        for _ in range(flushes):
            await flusher.flush(source.choice(JOBS, flush_rows, replace=False))
        used_s, after = cpu_seconds(pid) - used_s, await _stats(connection)
        rows = flushes * flush_rows
        return Updated(
            (after["n_tup_hot_upd"] - before["n_tup_hot_upd"]) / rows,
            used_s / rows * 1e6,
            float(after["wal"] - before["wal"]) / rows,
            after["bytes"] / JOBS,
        )
    finally:
        await connection.close()


async def _stats(connection: asyncpg.Connection[asyncpg.Record]) -> asyncpg.Record:
    # Its own numbers reach the server with the transaction after the one that asks for it.
    await connection.fetchrow(_STATS)
    row = await connection.fetchrow(_STATS)
    assert row is not None
    return row
