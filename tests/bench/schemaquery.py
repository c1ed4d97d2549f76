"""What chunk intervals cost a reader, and the one who drops old chunks."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from tests.bench.schemacopy import TABLE, Variant, make_table
from tests.bench.schemadata import SAMPLE_COLUMNS, Shape, copy_pieces, send

__all__ = ["Read", "read_variant"]

# More jobs than rows fit in a page: each row of a job lies in another page, as on a real cluster.
JOBS = 100
DAY_S = 86400.0
DAYS = 7
END_S = 1_700_006_400.0  # midnight
TRIES = 5

_RANGE = "time > to_timestamp({0}) and time <= to_timestamp({1})"
ONE_JOB = (
    f"select time, cpu_user_s, cpu_system_s, memory_used_bytes from {TABLE}"
    f" where job_key = 7 and {_RANGE} order by time"
)
ALL_JOBS = f"select job_key, sum(cpu_user_s) from {TABLE} where {_RANGE} group by job_key"


class Read(NamedTuple):
    """Milliseconds of planning and execution, and of dropping a day's chunks."""

    chunks: int
    one_job_plan: float
    one_job_run: float
    minute_run: float
    drop: float


async def read_variant(url: str, variant: Variant) -> Read:
    """Seven days of chunks, of which the last is dense."""
    connection = await asyncpg.connect(url, timeout=60)
    try:
        await make_table(connection, variant, JOBS)
        week = Shape(JOBS, (DAYS - 1) * 24, 3600.0, END_S - DAYS * DAY_S + 1)
        day = Shape(JOBS, int(DAY_S / 15), 15.0, END_S - DAY_S + 1)
        for shape in (week, day):
            for piece in copy_pieces(shape):
                await connection.copy_to_table(
                    TABLE,
                    source=send(piece),
                    columns=["time", "job_key", "node_id", "interval_s", *SAMPLE_COLUMNS],
                    format="binary",
                )
        await connection.execute(f"vacuum analyze {TABLE}")
        chunks = await connection.fetchval("select count(*) from show_chunks($1)", TABLE)
        plan, run = await _explain(connection, ONE_JOB.format(END_S - DAY_S, END_S))
        minute = await _explain(connection, ALL_JOBS.format(END_S - 3660, END_S - 3600))
        edge = END_S - (DAYS - 1) * DAY_S
        started = time.perf_counter()
        await connection.fetch("select drop_chunks($1, to_timestamp($2))", TABLE, edge)
        drop_ms = (time.perf_counter() - started) * 1e3
        return Read(chunks, plan, run, minute[1], drop_ms)
    finally:
        await connection.execute(f"drop table if exists {TABLE}")
        await connection.close()


async def _explain(
    connection: asyncpg.Connection[asyncpg.Record], statement: str
) -> Sequence[float]:
    """Milliseconds (planning, execution), the best of some."""
    found: list[tuple[float, float]] = []
    for _ in range(TRIES):
        text = await connection.fetchval(f"explain (analyze, timing off, format json) {statement}")
        plan = json.loads(text)[0]
        found.append((plan["Planning Time"], plan["Execution Time"]))
    return [min(values) for values in zip(*found, strict=True)]
