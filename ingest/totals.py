"""What a group of rows adds to the running totals: one row a job on a node, a job on a GPU, a GPU,
a node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ingest.copyformat import Key, encode, timestamps
from ingest.rows import Rows
from tsobs.columns import Kind, SampleTable

__all__ = ["Addition", "gpu_additions", "job_node_addition", "node_addition"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Addition(NamedTuple):
    """Rows for a temporary table, ready for COPY, and the named statement that adds them."""

    table: str
    columns: tuple[str, ...]
    data: bytes
    statement: str


class Groups:
    """Rows sorted by (key, time) and cut into groups of equal key."""

    def __init__(self, keys: Sequence[Ints], time: Floats) -> None:
        self.order = np.lexsort((time, *reversed(keys)))
        ordered = [key[self.order] for key in keys]
        new = np.ones(len(time), np.bool_)
        if len(time) > 1:
            new[1:] = np.any([key[1:] != key[:-1] for key in ordered], axis=0)
        self.starts = np.flatnonzero(new)
        self.ends = np.append(self.starts[1:], len(time)) - 1
        self.keys = [key[self.starts] for key in ordered]
        self.counts = (self.ends - self.starts + 1).astype(np.int64)

    def sum(self, values: Floats) -> Floats:
        """Sums of what is known along the last axis; NaN where nothing is."""
        values = values[..., self.order]
        known = ~np.isnan(values)
        sums = np.add.reduceat(np.where(known, values, 0.0), self.starts, axis=-1)
        counts = np.add.reduceat(known.astype(np.int32), self.starts, axis=-1)
        return np.where(counts > 0, sums, np.nan)

    def max(self, values: Floats) -> Floats:
        """Maxima of what is known."""
        found: Floats = np.fmax.reduceat(values[..., self.order], self.starts, axis=-1)
        return found

    def first(self, values: Floats) -> Floats:
        """The values of each group's oldest row."""
        return values[..., self.order[self.starts]]

    def last(self, values: Floats) -> Floats:
        """The values of each group's newest row."""
        return values[..., self.order[self.ends]]


def _by_name(rows: Rows) -> dict[str, Floats]:
    return {column.name: rows.values[n] for n, column in enumerate(rows.table.columns)}


def _names(table: SampleTable, kind: Kind) -> list[str]:
    return [column.name for column in table.columns if column.kind is kind]


def _pick(rows: Rows, kind: Kind) -> Floats:
    return rows.values[[n for n, column in enumerate(rows.table.columns) if column.kind is kind]]


def _where_known(measured: Floats, weight: Floats) -> Floats:
    return np.where(np.isnan(measured), np.nan, weight)


def _addition(
    target: str, groups: Groups, keys: Mapping[str, Key], rows: Rows, floats: Mapping[str, Floats]
) -> Addition:
    """Lays out a group's row: keys, how many samples and when, then the floats."""
    every_key = {
        **keys,
        "sample_count": Key(groups.counts),
        "first_sample_at": timestamps(groups.first(rows.time)),
        "last_sample_at": timestamps(groups.last(rows.time)),
    }
    return Addition(
        table=f"{target}_add",
        columns=(*every_key, *floats),
        data=encode(list(every_key.values()), np.stack(list(floats.values()))),
        statement=f"add_{target}",
    )


def _deltas_and_gauges(rows: Rows, groups: Groups, weight: Floats | None) -> dict[str, Floats]:
    deltas = _pick(rows, Kind.DELTA)
    sums = groups.sum(deltas if weight is None else deltas * weight)
    lasts = groups.last(_pick(rows, Kind.GAUGE))
    return {
        **dict(zip(_names(rows.table, Kind.DELTA), sums, strict=True)),
        **dict(zip(_names(rows.table, Kind.GAUGE), lasts, strict=True)),
    }


def job_node_addition(rows: Rows, job_key: Ints, node_id: Ints) -> Addition:
    """Totals of job_sample rows by job and node."""
    groups = Groups((job_key, node_id), rows.time)
    column = _by_name(rows)
    cpu_s = column["cpu_user_s"] + column["cpu_system_s"]
    capacity_s = rows.interval * column["cpus_allocated"]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        usage = cpu_s / capacity_s
    # Nothing on offer, or next to nothing: a maximum would stay infinite for ever.
    usage[~np.isfinite(usage)] = np.nan
    used = column["memory_used_bytes"]
    floats = {
        "interval_s": groups.last(rows.interval),
        "first_interval_s": groups.first(rows.interval),
        "known_s": groups.sum(rows.interval),
        "cpu_known_s": groups.sum(_where_known(cpu_s, rows.interval)),
        "cpu_capacity_s": groups.sum(_where_known(cpu_s, capacity_s)),
        "cpu_in_capacity_s": groups.sum(_where_known(capacity_s, cpu_s)),
        "memory_used_byte_s": groups.sum(used * rows.interval),
        "memory_known_s": groups.sum(_where_known(used, rows.interval)),
        "cpu_usage_ratio": groups.last(usage),
        "cpu_usage_ratio_max": groups.max(usage),
        "memory_used_bytes_max": groups.max(used),
        "memory_rss_bytes_max": groups.max(column["memory_rss_bytes"]),
        "memory_swap_bytes_max": groups.max(column["memory_swap_bytes"]),
        **_deltas_and_gauges(rows, groups, None),
    }
    keys = {"job_key": Key(groups.keys[0]), "node_id": Key(groups.keys[1].astype(np.int32))}
    return _addition("job_node", groups, keys, rows, floats)


def _node_cpu_usage(column: Mapping[str, Floats]) -> Floats:
    """The share of CPU time that was not idle; NaN unless user, system and idle are known."""
    parts = ("cpu_nice_s", "cpu_irq_s", "cpu_softirq_s", "cpu_steal_s")
    busy_s = column["cpu_user_s"] + column["cpu_system_s"]
    busy_s = busy_s + sum(np.nan_to_num(column[name]) for name in parts)
    all_s = busy_s + column["cpu_idle_s"] + np.nan_to_num(column["cpu_iowait_s"])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(all_s > 0, busy_s / all_s, np.nan)


def node_addition(rows: Rows, node_id: Ints) -> Addition:
    """Totals of node_sample rows by node."""
    groups = Groups((node_id,), rows.time)
    floats = {
        "interval_s": groups.last(rows.interval),
        "known_s": groups.sum(rows.interval),
        "cpu_usage_ratio": groups.last(_node_cpu_usage(_by_name(rows))),
        **_deltas_and_gauges(rows, groups, None),
    }
    keys = {"node_id": Key(groups.keys[0].astype(np.int32))}
    return _addition("node", groups, keys, rows, floats)


def gpu_additions(rows: Rows, gpu_id: Ints, node_id: Ints, job_key: Ints) -> list[Addition]:
    """Totals of gpu_sample rows by GPU and, for rows that a job holds, by job and GPU. A device's
    rows at one
    time carry shares that sum to 1, so everything is weighted by share."""
    groups = Groups((gpu_id,), rows.time)
    readings = Groups((gpu_id, np.rint(rows.time * 1e6).astype(np.int64)), rows.time)
    groups.counts = np.unique(readings.keys[0], return_counts=True)[1].astype(np.int64)
    busy_s = _by_name(rows)["utilization_ratio"] * rows.interval * rows.share
    held_s = rows.interval * rows.share
    floats = {
        "interval_s": groups.last(rows.interval),
        "known_s": groups.sum(held_s),
        "busy_s": groups.sum(busy_s),
        "busy_known_s": groups.sum(_where_known(busy_s, held_s)),
        **_deltas_and_gauges(rows, groups, rows.share),
    }
    keys = {"gpu_id": Key(groups.keys[0].astype(np.int32))}
    additions = [_addition("gpu", groups, keys, rows, floats)]
    held = job_key >= 0
    if held.any():
        additions.append(_job_gpu(rows.take(held), gpu_id[held], node_id[held], job_key[held]))
    return additions


def _job_gpu(rows: Rows, gpu_id: Ints, node_id: Ints, job_key: Ints) -> Addition:
    groups = Groups((job_key, gpu_id), rows.time)
    column = _by_name(rows)
    held_s = rows.interval * rows.share
    busy_s = column["utilization_ratio"] * held_s
    floats = {
        "share": groups.last(rows.share),
        "known_s": groups.sum(held_s),
        "busy_s": groups.sum(busy_s),
        "busy_known_s": groups.sum(_where_known(busy_s, held_s)),
        "energy_j": groups.sum(column["energy_j"] * rows.share),
        "utilization_ratio": groups.last(column["utilization_ratio"]),
        "utilization_ratio_max": groups.max(column["utilization_ratio"]),
        "memory_used_bytes": groups.last(column["memory_used_bytes"]),
        "memory_used_bytes_max": groups.max(column["memory_used_bytes"]),
        "power_w": groups.last(column["power_w"]),
        "temperature_celsius": groups.last(column["temperature_celsius"]),
    }
    keys = {
        "job_key": Key(groups.keys[0]),
        "gpu_id": Key(groups.keys[1].astype(np.int32)),
        "node_id": Key(node_id[groups.order[groups.starts]].astype(np.int32)),
    }
    return _addition("job_gpu", groups, keys, rows, floats)
