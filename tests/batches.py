"""Agent batches for tests and benchmarks: a builder from rows, values that are plausible or sum
exactly, and hypothesis strategies."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from tsobs.columns import TABLES, Column, Kind

__all__ = [
    "Agent",
    "columns_of",
    "dyadic_row",
    "job",
    "json_values",
    "measured_values",
    "places",
    "plausible_value",
    "replaced",
    "row",
]

INTERVAL_S = 15.0
# Multiples of this add up without rounding, in any order.
GRAIN = 1 / 64

Row = dict[str, Any]


class Agent:
    """One agent: a node with a stream of its own, numbering its batches."""

    def __init__(
        self, node: str = "n1", *, cluster: str | None = None, machine_id: str | None = None
    ) -> None:
        self.node = node
        self.cluster = cluster
        self.machine_id = machine_id or f"machine of {node}"
        self.stream = uuid.uuid4().hex
        self.seq = 0

    def batch(
        self,
        tables: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
        *,
        jobs: Sequence[Mapping[str, Any]] = (),
        gpus: Sequence[Mapping[str, Any]] = (),
        seq: int | None = None,
        **named: Sequence[Mapping[str, Any]],
    ) -> dict[str, Any]:
        """The next batch, its sections and tables given as rows: `job_sample=[row(job=0, …)]`."""
        if seq is None:
            self.seq += 1
        sections = {"jobs": jobs, "gpus": gpus}
        return {
            "stream": self.stream,
            "seq": self.seq if seq is None else seq,
            "machine_id": self.machine_id,
            "agent_version": "0.1.0",
            "interval_s": INTERVAL_S,
            "cluster": self.cluster,
            "node": {"name": self.node, "aliases": [f"{self.node}.example.org"]},
            **{name: columns_of(rows) for name, rows in sections.items() if rows},
            "tables": {
                name: columns_of(rows) for name, rows in ({**(tables or {}), **named}).items()
            },
        }


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Rows as columns: what a row lacks is null."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def job(job_id: str = "1", **known: Any) -> Row:
    """A job of the jobs section; started 5 minutes ago unless told otherwise."""
    started_at = float(int(time.time()) - 300)
    return {"scheduler": "slurm", "job_id": job_id, "started_at": started_at, **known}


def row(at: float | None = None, **values: Any) -> Row:
    """A row that ends `at` (unix seconds; now when not given)."""
    ending = float(int(time.time())) if at is None else at
    return {"time": ending, "interval_s": INTERVAL_S, **values}


def dyadic_row(table: str, source: random.Random, at: float, **keys: Any) -> Row:
    """A row with values that add up without rounding; a fifth of them null, now and then zero."""
    values = {column.name: _dyadic(column, source) for column in TABLES[table].columns}
    interval_s = source.choice([1.0, 7.5, 15.0, 60.0])
    return {"time": at, "interval_s": interval_s, **keys, **values}


def _dyadic(column: Column, source: random.Random) -> float | None:
    if source.random() < 0.2:
        return None
    if source.random() < 0.1:
        return 0.0
    steps = min((column.high - max(column.low, 0)) / GRAIN, 1 << 20)
    return source.randint(0, int(steps)) * GRAIN


def plausible_value(column: Column, source: random.Random) -> float:
    """A value of the size that real ones have."""
    name = column.name
    if name.endswith("_bytes"):
        return float(source.randrange(1 << 20, 1 << 36))
    if name.endswith("_ratio"):
        return source.random()
    if name.endswith("_s"):
        return round(source.uniform(0, 4 * INTERVAL_S), 6)
    if column.kind is Kind.DELTA:
        return float(source.randrange(100_000))
    return round(source.uniform(1, 128), 2)


def measured_values(column: Column) -> st.SearchStrategy[float | None]:
    """Null, or any number that the column may carry: denormals, −0.0 and both ends too."""
    edges = st.sampled_from([column.low, column.high, 0.0, -0.0, 5e-324, 2.0**-1022, 0.1])
    return st.none() | edges | st.floats(column.low, column.high)


def json_values() -> st.SearchStrategy[Any]:
    """Anything that JSON can say, and what our parser makes of NaN."""
    scalars = (
        st.none()
        | st.booleans()
        | st.integers(-(2**70), 2**70)
        | st.floats(allow_nan=False)
        | st.sampled_from([0, 1, -1, 2**31, 2**63, float("inf"), 1e300, 0.5, "", "1", "\x00"])
        | st.text(max_size=8)
    )
    return st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
        ),
        max_leaves=8,
    )


Path = tuple[str | int, ...]


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """The path of every node of a JSON value, its own first."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from places(inner, (*path, n))


def replaced(value: Any, path: Path, new: Any) -> Any:
    """A copy of a JSON value with another node at a path."""
    if not path:
        return new
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy
