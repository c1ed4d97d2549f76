"""One flush: the rows of many batches made ready for COPY, and the transaction that stores them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ingest.batch import Batch
from ingest.copyformat import Key, encode, timestamps
from ingest.names import Ids
from ingest.rows import Rejection, Rows, Window, gather, refuse
from ingest.totals import Addition, gpu_additions, job_node_addition, node_addition
from tsobs.columns import TABLES
from tsobs.db import Connection, Database

__all__ = ["Moved", "Outcome", "Prepared", "prepare", "store"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Moved(Exception):
    """Some of what a flush names by these keys is meanwhile known to be of another run."""

    def __init__(self, job_keys: Collection[int]) -> None:
        super().__init__(f"{len(job_keys)} jobs were parted")
        self.job_keys = job_keys


class Outcome(NamedTuple):
    """What became of a batch: accepted, duplicate or conflict; rows stored by table; rows left
    out."""

    status: str
    stored: Mapping[str, int]
    rejected: Sequence[Rejection]


class Keyed(NamedTuple):
    """Rows that keep the rules, with the ids of what they speak of (−1 for no job)."""

    rows: Rows
    node_id: Ints
    job_key: Ints
    gpu_id: Ints

    def take(self, mask: Bools) -> Keyed:
        """The rows where `mask` is true."""
        if mask.all():
            return self
        return Keyed(
            self.rows.take(mask), self.node_id[mask], self.job_key[mask], self.gpu_id[mask]
        )


class Copy(NamedTuple):
    """One table's rows as a COPY stream."""

    table: str
    columns: tuple[str, ...]
    data: bytes


class Prepared(NamedTuple):
    """A group of batches, ready to be written."""

    batches: Sequence[Batch]
    ids: Sequence[Ids]
    keyed: Sequence[Keyed]
    rejected: Mapping[int, Sequence[Rejection]]
    copies: Sequence[Copy]
    additions: Sequence[Addition]


def prepare(batches: Sequence[Batch], ids: Sequence[Ids], window: Window) -> Prepared:
    """Arrays, rules, ids, COPY bytes and totals of a group; pure, and heavy enough for a thread."""
    rejected: dict[int, list[Rejection]] = {}
    keyed: list[Keyed] = []
    for table in TABLES:
        rows = gather(table, batches)
        if rows is None:
            continue
        good, reasons = refuse(rows, window)
        for n, found in reasons.items():
            rejected.setdefault(n, []).extend(found)
        rows = rows if good.all() else rows.take(good)
        if len(rows.time):
            keyed.append(_with_ids(rows, ids))
    return _encoded(batches, ids, keyed, rejected)


def _encoded(
    batches: Sequence[Batch],
    ids: Sequence[Ids],
    keyed: Sequence[Keyed],
    rejected: Mapping[int, Sequence[Rejection]],
) -> Prepared:
    copies = [_copy(item) for item in keyed]
    additions = [addition for item in keyed for addition in _additions(item)]
    return Prepared(batches, ids, keyed, rejected, copies, additions)


def _with_ids(rows: Rows, ids: Sequence[Ids]) -> Keyed:
    """The rows with their ids, in the order of their table's index: COPY then takes the server a
    quarter less CPU."""
    node_id = np.array([item.node_id for item in ids], np.int64)[rows.batch]
    job_key = _looked_up(rows.batch, rows.job, [item.job_keys for item in ids])
    gpu_id = _looked_up(rows.batch, rows.gpu, [item.gpu_ids for item in ids])
    order = np.lexsort((rows.time, node_id, job_key, gpu_id))
    return Keyed(rows.take(order), node_id[order], job_key[order], gpu_id[order])


def _looked_up(batch: Ints, index: Ints, lists: Sequence[Sequence[int]]) -> Ints:
    """The id behind each row's index into its own batch's list; −1 where the index is −1."""
    flat = np.array([number for numbers in lists for number in numbers] + [-1], np.int64)
    starts = np.cumsum([0, *(len(numbers) for numbers in lists)])[:-1]
    found: Ints = np.where(index >= 0, flat[np.minimum(starts[batch] + index, len(flat) - 1)], -1)
    return found


def _copy(item: Keyed) -> Copy:
    rows = item.rows
    node_id = Key(item.node_id.astype(np.int32))
    time = timestamps(rows.time)
    floats = [rows.interval]
    if rows.table.name == "job_sample":
        keys = [time, Key(item.job_key), node_id]
    elif rows.table.name == "gpu_sample":
        no_job = item.job_key < 0
        keys = [time, Key(item.gpu_id.astype(np.int32)), node_id, Key(item.job_key, no_job)]
        floats = [rows.share, rows.interval]
    else:
        keys = [time, node_id]
    columns = (*rows.table.keys, *(column.name for column in rows.table.columns))
    return Copy(rows.table.name, columns, encode(keys, np.vstack([*floats, rows.values])))


def _additions(item: Keyed) -> list[Addition]:
    match item.rows.table.name:
        case "job_sample":
            return [job_node_addition(item.rows, item.job_key, item.node_id)]
        case "gpu_sample":
            return gpu_additions(item.rows, item.gpu_id, item.node_id, item.job_key)
        case _:
            return [node_addition(item.rows, item.node_id)]


async def store(database: Database, prepared: Prepared) -> list[Outcome]:
    """Claims, copies and adds in one transaction; an outcome for each batch, in order. Raises Moved
    when keys must be asked for again."""
    async with database.transaction() as connection:
        await _check_keys(connection, prepared.ids)
        statuses = await _claim(connection, prepared)
        taken = prepared
        new = np.array([status == "new" for status in statuses])
        if not new.all():
            keyed = [item.take(new[item.rows.batch]) for item in prepared.keyed]
            keyed = [item for item in keyed if len(item.rows.time)]
            taken = await asyncio.to_thread(
                _encoded, prepared.batches, prepared.ids, keyed, prepared.rejected
            )
        for copy in taken.copies:
            await connection.copy_binary(
                copy.table, copy.data, columns=copy.columns, schema="tsobs_store"
            )
        for addition in taken.additions:
            await connection.copy_binary(
                addition.table, addition.data, columns=addition.columns, schema="pg_temp"
            )
            await connection.execute(addition.statement)
        await _mark_gone(connection, prepared, statuses)
    return _outcomes(taken, statuses)


async def _check_keys(connection: Connection, ids: Sequence[Ids]) -> None:
    """Until the commit nobody moves samples to another run."""
    known = {key: n for one in ids for key, n in zip(one.job_keys, one.job_moves, strict=False)}
    if not known:
        return
    rows = await connection.fetch("moved_jobs", list(known))
    now = {row["job_key"]: row["moves"] for row in rows}
    moved = {
        key
        for one in ids
        for key, n in zip(one.job_keys, one.job_moves, strict=False)
        if n != now.get(key, 0)
    }
    if moved:
        raise Moved(moved)


async def _claim(connection: Connection, prepared: Prepared) -> list[str]:
    batches = prepared.batches
    rows = await connection.fetch(
        "claim_batches",
        [batch.stream for batch in batches],
        [batch.seq for batch in batches],
        [ids.node_id for ids in prepared.ids],
        [batch.machine_id for batch in batches],
        [batch.hash for batch in batches],
    )
    statuses = [""] * len(batches)
    for row in rows:
        statuses[row["ordinal"] - 1] = row["outcome"]
    return statuses


async def _mark_gone(connection: Connection, prepared: Prepared, statuses: Sequence[str]) -> None:
    gone = [
        (key, ids.node_id, datetime.fromtimestamp(job.gone_at, UTC))
        for batch, ids, status in zip(prepared.batches, prepared.ids, statuses, strict=True)
        if status == "new"
        for job, key in zip(batch.jobs, ids.job_keys, strict=True)
        if job.gone_at is not None
    ]
    if gone:
        await connection.execute("mark_gone", *map(list, zip(*gone, strict=True)))


def _outcomes(taken: Prepared, statuses: Sequence[str]) -> list[Outcome]:
    stored: list[dict[str, int]] = [{} for _ in statuses]
    for item in taken.keyed:
        counts = np.bincount(item.rows.batch, minlength=len(statuses))
        for n in np.flatnonzero(counts):
            stored[n][item.rows.table.name] = int(counts[n])
    return [
        Outcome("accepted", stored[n], taken.rejected.get(n, ()))
        if status == "new"
        else Outcome(status, {}, ())
        for n, status in enumerate(statuses)
    ]
