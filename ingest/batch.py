"""An agent's batch: the shape it must have. What breaks it refuses the whole batch, and its seq
stays free.

The body is columns, and stays columns: a check costs one pass in C over each, never a Python step
a value.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tsobs.columns import TABLES
from tsobs.errors import InvalidRequest

__all__ = ["Batch", "Column", "Gpu", "Job", "Node", "parse_batch"]

# More is no agent: it bounds what one request can make the service do.
MAX_ROWS = 20_000
MAX_JOBS = 5_000
MAX_GPUS = 1_024
MAX_ALIASES = 16
MAX_TEXT = 255
# Cluster, scheduler and job_id are one index entry, which holds 2,704 bytes.
MAX_SCHEDULER = 64
MAX_SEQ = 2**62
# Of a SHA-256, which processors compute in hardware: enough to tell bodies apart.
HASH_BYTES = 16

_STREAM = re.compile(r"[0-9a-f]{32}")
_NUMBER: frozenset[type] = frozenset({int, float})
_NUMBER_OR_NULL = _NUMBER | {type(None)}
_INDEX: frozenset[type] = frozenset({int})
_INDEX_OR_NULL = _INDEX | {type(None)}
_TEXT_OR_NULL: frozenset[type] = frozenset({str, type(None)})
_BOOL_OR_NULL: frozenset[type] = frozenset({bool, type(None)})
_KINDS = {
    _NUMBER: "numbers",
    _NUMBER_OR_NULL: "numbers or null",
    _INDEX: "indexes",
    _INDEX_OR_NULL: "indexes or null",
    _TEXT_OR_NULL: "texts or null",
    _BOOL_OR_NULL: "booleans or null",
}


class Node(NamedTuple):
    """The node that a batch speaks of."""

    name: str
    aliases: tuple[str, ...]


class Job(NamedTuple):
    """What an agent knows of a job; `started_at` and `gone_at` in unix seconds, memory in bytes."""

    scheduler: str
    job_id: str
    restart_count: int | None
    started_at: float | None
    user_name: str | None
    uid: int | None
    cpus: float | None
    memory_bytes: float | None
    gone_at: float | None
    oom_killed: bool | None
    name: str | None = None
    account: str | None = None
    partition: str | None = None
    array_job_id: str | None = None
    array_task_id: str | None = None


class Gpu(NamedTuple):
    """A GPU of the node; memory in bytes."""

    uuid: str
    vendor: str | None
    model: str | None
    parent_uuid: str | None
    memory_total_bytes: float | None


Column = Sequence[Any] | npt.NDArray[np.float64]


class Batch(NamedTuple):
    """One checked batch. `tables` holds columns by name, of `rows[table]` values each."""

    stream: uuid.UUID
    seq: int
    hash: bytes
    cluster: str | None
    machine_id: str
    agent_version: str | None
    clock_offset_s: float | None
    node: Node
    jobs: tuple[Job, ...]
    gpus: tuple[Gpu, ...]
    tables: Mapping[str, Mapping[str, Column]]
    rows: Mapping[str, int]
    ignored: tuple[str, ...]


def parse_batch(body: Any, text: bytes) -> Batch:
    """Checks the shape of a parsed body, whose columns of numbers may be float64 arrays; raises
    InvalidRequest naming field and rule."""
    top = _object(body, "body")
    node = _node(top.get("node"))
    jobs = _jobs(top.get("jobs"))
    gpus = _gpus(top.get("gpus"))
    ignored = _unknown(top)
    tables, rows = _tables(top.get("tables"), len(jobs), len(gpus), ignored)
    return Batch(
        stream=_stream(top.get("stream")),
        seq=_seq(top.get("seq")),
        hash=hashlib.sha256(text).digest()[:HASH_BYTES],
        cluster=_text_or_none(top.get("cluster"), "cluster"),
        machine_id=_text(top.get("machine_id"), "machine_id"),
        agent_version=_text_or_none(top.get("agent_version"), "agent_version"),
        clock_offset_s=_number_or_none(top.get("clock_offset_s"), "clock_offset_s"),
        node=node,
        jobs=jobs,
        gpus=gpus,
        tables=tables,
        rows=rows,
        ignored=tuple(ignored),
    )


_MEASURED = {
    name: frozenset(column.name for column in table.columns) for name, table in TABLES.items()
}
# What is known beside the tables, by section; "" is the body itself.
_KNOWN = {
    "": {"stream", "seq", "machine_id", "agent_version", "clock_offset_s", "interval_s"}
    | {"cluster", "node", "jobs", "gpus", "tables"},
    # A node's capacity comes with its samples.
    "node": {"name", "aliases", "cpus", "memory_bytes"},
    "jobs": set(Job._fields),
    "gpus": set(Gpu._fields),
}


def _refuse(field: str, rule: str) -> InvalidRequest:
    return InvalidRequest(f"{field} must be {rule}", field=field, rule=rule)


def _object(value: Any, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _refuse(field, "an object")
    return value


def _text(value: Any, field: str, most: int = MAX_TEXT) -> str:
    if not isinstance(value, str) or not value or len(value) > most or "\x00" in value:
        raise _refuse(field, f"a text of 1 to {most} characters without null")
    return value


def _unknown(top: Mapping[str, Any]) -> list[str]:
    """What the body and its sections hold that is not known here."""
    sections = {name: top.get(name) or {} for name in ("node", "jobs", "gpus")}
    return [
        f"{name}.{key}".lstrip(".")[:MAX_TEXT]
        for name, section in {"": top, **sections}.items()
        for key in section
        if key not in _KNOWN[name]
    ]


def _text_or_none(value: Any, field: str) -> str | None:
    return None if value is None else _text(value, field)


def _node(value: Any) -> Node:
    section = _object(value, "node")
    aliases = section.get("aliases")
    if aliases is None:
        aliases = []
    if not isinstance(aliases, list) or len(aliases) > MAX_ALIASES:
        raise _refuse("node.aliases", f"a list of at most {MAX_ALIASES} texts")
    return Node(
        _text(section.get("name"), "node.name"),
        tuple(_text(alias, "node.aliases") for alias in aliases),
    )


def _number_or_none(value: Any, field: str) -> float | None:
    if value is None:
        return None
    if type(value) not in _NUMBER or not abs(value) < float("inf"):
        raise _refuse(field, "a number")
    return float(value)


def _stream(value: Any) -> uuid.UUID:
    if not isinstance(value, str) or not _STREAM.fullmatch(value):
        raise _refuse("stream", "32 lowercase hexadecimal digits")
    return uuid.UUID(value)


def _seq(value: Any) -> int:
    if type(value) is not int or not 1 <= value < MAX_SEQ:
        raise _refuse("seq", "an integer of at least 1")
    return value


def _column(
    section: Mapping[str, Any], field: str, name: str, rows: int, kinds: frozenset[type]
) -> Column:
    """One column of a section: as long as the section, of the kinds allowed; absent means all
    null."""
    values = section.get(name)
    if values is None and type(None) in kinds:
        return [None] * rows
    if not isinstance(values, list | np.ndarray) or len(values) != rows:
        raise _refuse(f"{field}.{name}", f"a list of {rows} values, as long as the others")
    # An array holds floats and nothing else.
    if isinstance(values, list) and not set(map(type, values)) <= kinds:
        raise _refuse(f"{field}.{name}", f"a list of {_KINDS[kinds]}")
    return values


def _length(section: Mapping[str, Any], field: str, name: str, most: int) -> int:
    """How many rows a section has, by the column that every row must have."""
    values = section.get(name)
    if not isinstance(values, list | np.ndarray):
        raise _refuse(f"{field}.{name}", "a list")
    if len(values) > most:
        raise _refuse(field, f"of at most {most} rows")
    return len(values)


def _texts(column: Column, field: str, most: int = MAX_TEXT) -> Column:
    for value in column:
        if value is not None:
            _text(value, field, most)
    return column


def _wholes(column: Column, field: str, high: int) -> list[int | None]:
    for value in column:
        if value is not None and not (0 <= value <= high and value == int(value)):
            raise _refuse(field, f"a list of integers from 0 to {high} or null")
    return [None if value is None else int(value) for value in column]


def _jobs(value: Any) -> tuple[Job, ...]:
    if value is None:
        return ()
    section = _object(value, "jobs")
    n = _length(section, "jobs", "job_id", MAX_JOBS)
    if not n:
        _length(section, "jobs", "scheduler", MAX_JOBS)

    def texts(name: str, most: int = MAX_TEXT) -> Column:
        return _texts(_column(section, "jobs", name, n, _TEXT_OR_NULL), f"jobs.{name}", most)

    def numbers(name: str) -> Column:
        return _column(section, "jobs", name, n, _NUMBER_OR_NULL)

    schedulers, ids = texts("scheduler", MAX_SCHEDULER), texts("job_id")
    if None in schedulers or None in ids:
        raise _refuse("jobs.scheduler and jobs.job_id", "known for every job")
    columns = (
        schedulers,
        ids,
        _wholes(numbers("restart_count"), "jobs.restart_count", 2**31 - 1),
        _times(numbers("started_at"), "jobs.started_at"),
        texts("user_name"),
        _wholes(numbers("uid"), "jobs.uid", 2**32 - 1),
        _amounts(numbers("cpus"), "jobs.cpus"),
        _amounts(numbers("memory_bytes"), "jobs.memory_bytes"),
        _times(numbers("gone_at"), "jobs.gone_at"),
        _column(section, "jobs", "oom_killed", n, _BOOL_OR_NULL),
        *map(texts, Job._fields[10:]),
    )
    return tuple(map(Job._make, zip(*columns, strict=True)))


def _gpus(value: Any) -> tuple[Gpu, ...]:
    if value is None:
        return ()
    section = _object(value, "gpus")
    n = _length(section, "gpus", "uuid", MAX_GPUS)
    names = ("uuid", "vendor", "model", "parent_uuid")
    columns = [
        _texts(_column(section, "gpus", name, n, _TEXT_OR_NULL), f"gpus.{name}") for name in names
    ]
    if None in columns[0]:
        raise _refuse("gpus.uuid", "known for every GPU")
    memory = _amounts(
        _column(section, "gpus", "memory_total_bytes", n, _NUMBER_OR_NULL),
        "gpus.memory_total_bytes",
    )
    return tuple(map(Gpu._make, zip(*columns, memory, strict=True)))


def _times(column: Column, field: str) -> Column:
    """Unix seconds between 1970 and 2200."""
    for value in column:
        if value is not None and not 0 <= value <= 7_258_118_400:
            raise _refuse(field, "unix seconds")
    return column


def _amounts(column: Column, field: str) -> Column:
    for value in column:
        if value is not None and not 0 <= value <= 1e18:
            raise _refuse(field, "a number from 0 to 1e18")
    return column


def _tables(
    value: Any, jobs: int, gpus: int, ignored: list[str]
) -> tuple[dict[str, dict[str, Column]], dict[str, int]]:
    """Checks the columns of each known table; unknown ones are named in `ignored`."""
    tables: dict[str, dict[str, Column]] = {}
    rows: dict[str, int] = {}
    for name, content in _object({} if value is None else value, "tables").items():
        if name not in TABLES:
            ignored.append(f"tables.{name}"[:MAX_TEXT])
            continue
        section = _object(content, name)
        n = _length(section, name, "time", MAX_ROWS)
        columns = _keys(name, section, n, jobs, gpus)
        columns |= _measured(name, section, n)
        ignored += [f"{name}.{key}"[:MAX_TEXT] for key in section if key not in columns]
        if n:
            tables[name], rows[name] = columns, n
    if sum(rows.values()) > MAX_ROWS:
        raise _refuse("tables", f"of at most {MAX_ROWS} rows in all")
    return tables, rows


def _measured(name: str, section: Mapping[str, Any], n: int) -> dict[str, Column]:
    """The measured columns. All are checked in one pass; only when that fails, each for itself, to
    name the one that is wrong."""
    columns = {key: section[key] for key in _MEASURED[name] & section.keys()}
    found = columns.values()
    lists = [column for column in found if isinstance(column, list)]
    if (
        set(map(type, found)) <= {list, np.ndarray}
        and set(map(len, found)) <= {n}
        and set(map(type, chain.from_iterable(lists))) <= _NUMBER_OR_NULL
    ):
        return columns
    return {key: _column(section, name, key, n, _NUMBER_OR_NULL) for key in columns}


def _keys(name: str, section: Mapping[str, Any], n: int, jobs: int, gpus: int) -> dict[str, Column]:
    """The columns that say when, for how long, and of what a row speaks."""
    columns = {key: _column(section, name, key, n, _NUMBER) for key in ("time", "interval_s")}
    if name == "job_sample":
        columns["job"] = _indexes(section, name, "job", n, jobs, _INDEX)
    elif name == "gpu_sample":
        columns["gpu"] = _indexes(section, name, "gpu", n, gpus, _INDEX)
        columns["job"] = _indexes(section, name, "job", n, jobs, _INDEX_OR_NULL)
        columns["share"] = _column(section, name, "share", n, _NUMBER)
    return columns


def _indexes(
    section: Mapping[str, Any], table: str, name: str, n: int, limit: int, kinds: frozenset[type]
) -> Column:
    column = _column(section, table, name, n, kinds)
    for value in set(column):
        if value is not None and not 0 <= value < limit:
            raise _refuse(f"{table}.{name}", f"an index from 0 to {limit - 1} of its section")
    return column
