"""What indexes, keys, types and chunk intervals cost a binary COPY into job_sample."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from tests.bench.process import cpu_seconds
from tests.bench.schemadata import SAMPLE_COLUMNS, Shape, copy_pieces, send

__all__ = ["INTERVALS", "READS", "VARIANTS", "Copied", "Variant", "copy_variant"]

TABLE = "bench_sample"
BY_JOB = "(job_key, time)"
BY_NODE = "(node_id, time)"
BY_TIME_BRIN = "using brin (time) with (pages_per_range = 128, autosummarize = on)"


class Variant(NamedTuple):
    """One way to lay the table out."""

    title: str
    indexes: Sequence[str] = (BY_JOB,)
    chunk: str = "6 hours"
    keys: str = "job_key bigint not null, node_id int not null"
    foreign_key: bool = False
    float_type: str = "float8"
    is_sorted: bool = False

    @property
    def text_keys(self) -> bool:
        """Whether the keys are names."""
        return "text" in self.keys


VARIANTS = (
    Variant("no index", ()),
    Variant("(job_key, time)"),
    Variant("(job_key, time), commits sorted", is_sorted=True),
    Variant("(job_key)", ("(job_key)",)),
    Variant("(job_key, time), brin (time)", (BY_JOB, BY_TIME_BRIN)),
    Variant("(job_key, time), (time)", (BY_JOB, "(time)")),
    Variant("(job_key, time), (node_id, time)", (BY_JOB, BY_NODE)),
    Variant("(job_key, time), key to job", foreign_key=True),
    Variant("(job_key, time), text keys", keys="job_key text not null, node_id text not null"),
    Variant("(job_key, time), float4", float_type="float4"),
)
_CHUNKS = ("1 hour", "6 hours", "1 day")
INTERVALS = tuple(Variant(f"chunks of {chunk}", chunk=chunk) for chunk in _CHUNKS)
READS = INTERVALS + tuple(
    Variant(f"chunks of {chunk}, brin (time)", (BY_JOB, BY_TIME_BRIN), chunk=chunk)
    for chunk in _CHUNKS
)


class Copied(NamedTuple):
    """How fast, the server's CPU and the bytes a row, and in how many chunks."""

    rows_per_s: float
    cpu_us: float
    heap_bytes: float
    index_bytes: float
    chunks: int


async def make_table(
    connection: asyncpg.Connection[asyncpg.Record], variant: Variant, jobs: int
) -> None:
    """The variant's empty hypertable."""
    measured = ", ".join(f"{name} {variant.float_type}" for name in ("interval_s", *SAMPLE_COLUMNS))
    await connection.execute(f"drop table if exists {TABLE}")
    await connection.execute(
        f"create table {TABLE} (time timestamptz not null, {variant.keys}, {measured})"
    )
    await connection.execute(
        f"select create_hypertable('{TABLE}', by_range('time', interval '{variant.chunk}'),"
        " create_default_indexes => false)"
    )
    for columns in variant.indexes:
        await connection.execute(f"create index on {TABLE} {columns}")
    if variant.foreign_key:
        await connection.execute(
            "create table if not exists bench_job (job_key bigint primary key)"
        )
        await connection.execute(
            f"insert into bench_job select generate_series(0, {jobs - 1}) on conflict do nothing"
        )
        await connection.execute(
            f"alter table {TABLE} add foreign key (job_key) references bench_job"
        )


async def copy_variant(url: str, pid: int, variant: Variant, shape: Shape) -> Copied:
    """Fills the variant's table over one connection, in commits of 10,000 rows; drops it again."""
    pieces = list(
        copy_pieces(
            shape,
            text_keys=variant.text_keys,
            float_type=">f4" if variant.float_type == "float4" else ">f8",
            is_sorted=variant.is_sorted,
        )
    )
    connection = await asyncpg.connect(url, timeout=60)
    try:
        await make_table(connection, variant, shape.jobs)
        await connection.execute("checkpoint")
        columns = ["time", "job_key", "node_id", "interval_s", *SAMPLE_COLUMNS]
        started, used_s = time.perf_counter(), cpu_seconds(pid)
        for piece in pieces:
            await connection.copy_to_table(
                TABLE, source=send(piece), columns=columns, format="binary"
            )
        wall_s, used_s = time.perf_counter() - started, cpu_seconds(pid) - used_s
        size = await connection.fetchrow(
            "select sum(table_bytes)::float8 as heap, sum(index_bytes)::float8 as index,"
            " count(*) as chunks from chunks_detailed_size($1)",
            TABLE,
        )
        assert size is not None
        return Copied(
            shape.rows / wall_s,
            used_s / shape.rows * 1e6,
            size["heap"] / shape.rows,
            size["index"] / shape.rows,
            size["chunks"],
        )
    finally:
        await connection.execute(f"drop table if exists {TABLE}")
        await connection.close()
