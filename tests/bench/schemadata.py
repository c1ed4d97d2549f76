"""Rows of job_sample for the schema measurements, in the order in which a cluster sends them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ingest.copyformat import Key, encode, timestamps
from tests.bench.sampledata import batch, copy_rows
from tsobs.columns import TABLES

__all__ = ["JOBS_A_NODE", "SAMPLE_COLUMNS", "Shape", "copy_pieces", "send"]

SAMPLE_COLUMNS = tuple(column.name for column in TABLES["job_sample"].columns)
JOBS_A_NODE = 8
COMMIT_ROWS = 10_000


class Shape(NamedTuple):
    """`jobs` × `ticks` rows: all jobs at one tick, in no order of key, then the next tick."""

    jobs: int
    ticks: int
    tick_s: float
    start_s: float

    @property
    def rows(self) -> int:
        """How many rows that makes."""
        return self.jobs * self.ticks


def _block() -> npt.NDArray[np.float64]:
    """One commit's worth of values, interval first; the same for every commit."""
    content = batch(
        node="n", seq=1, jobs=100, intervals=COMMIT_ROWS // 100, now=0.0, node_rows=0, seed=1
    )
    return copy_rows([content])[2]


def _keys(shape: Shape, start: int, stop: int, order: npt.NDArray[np.int64]) -> Sequence[Any]:
    row = np.arange(start, stop)
    job = order[row % shape.jobs]
    # Nodes send at different moments of the interval.
    time = shape.start_s + (row // shape.jobs) * shape.tick_s
    time = time + (job // JOBS_A_NODE % 1000) / 1000 * min(shape.tick_s, 15.0)
    return time, job


def copy_pieces(
    shape: Shape, *, text_keys: bool = False, float_type: str = ">f8", is_sorted: bool = False
) -> Iterator[bytes]:
    """COPY streams of one commit each: time, job, node, interval and the measured columns."""
    values = _block()
    # Jobs of one node have keys from all over, as they started at different times.
    order = np.random.default_rng(1).permutation(shape.jobs)
    for start in range(0, shape.rows, COMMIT_ROWS):
        stop = min(start + COMMIT_ROWS, shape.rows)
        time, job = _keys(shape, start, stop, order)
        if is_sorted:
            by_job = np.lexsort((time, job))
            time, job = time[by_job], job[by_job]
        node = job // JOBS_A_NODE
        keys = [timestamps(time), Key(job), Key(node.astype(np.int32))]
        if text_keys:
            keys[1:] = [
                Key(np.char.add("slurm-", np.char.zfill(job.astype("U8"), 8)).astype("S14")),
                Key(np.char.add("node-", np.char.zfill(node.astype("U5"), 5)).astype("S10")),
            ]
        if float_type == ">f4":
            floats = values[:, : stop - start].astype(np.float32)
            keys += [Key(column.view(np.int32)) for column in floats]
            yield encode(keys, np.empty((0, stop - start)))
        else:
            yield encode(keys, values[:, : stop - start])


async def send(data: bytes) -> AsyncIterator[bytes]:
    """One COPY stream as asyncpg wants it."""
    yield data
