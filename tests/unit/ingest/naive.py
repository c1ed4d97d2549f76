"""Running totals the slow way: from rows as dictionaries, one value at a time, straight from what
each column means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tsobs.columns import TABLES, Kind

__all__ = ["gpu_totals", "job_gpu_totals", "job_node_totals", "node_totals"]

Row = Mapping[str, Any]
Value = float | None


def _sum(rows: Sequence[Row], value: Callable[[Row], Value]) -> Value:
    """The sum of what is known; null when nothing is."""
    known = [found for row in rows if (found := value(row)) is not None]
    return sum(known) if known else None


def _max(rows: Sequence[Row], value: Callable[[Row], Value]) -> Value:
    return max((found for row in rows if (found := value(row)) is not None), default=None)


def _times(*factors: Value) -> Value:
    product = 1.0
    for factor in factors:
        if factor is None:
            return None
        product *= factor
    return product


def _newest(rows: Sequence[Row]) -> Row:
    return max(rows, key=lambda row: row["time"])


def _deltas(table: str, rows: Sequence[Row]) -> dict[str, Value]:
    """Sums, each row's part by its share of the device where it has one."""
    return {
        column.name: _sum(rows, lambda row, n=column.name: _times(row[n], row.get("share", 1.0)))  # type: ignore[misc]
        for column in TABLES[table].columns
        if column.kind is Kind.DELTA
    }


def _gauges(table: str, rows: Sequence[Row]) -> dict[str, Value]:
    newest = _newest(rows)
    return {
        column.name: newest[column.name]
        for column in TABLES[table].columns
        if column.kind is Kind.GAUGE
    }


def _span(rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "sample_count": len(rows),
        "first_sample_at": min(row["time"] for row in rows),
        "last_sample_at": max(row["time"] for row in rows),
    }


def job_node_totals(rows: Sequence[Row]) -> dict[str, Any]:
    """Of all job_sample rows of one job on one node."""

    def cpu_s(row: Row) -> Value:
        user, system = row["cpu_user_s"], row["cpu_system_s"]
        return None if user is None or system is None else user + system

    def capacity_s(row: Row) -> Value:
        return None if cpu_s(row) is None else _times(row["interval_s"], row["cpus_allocated"])

    def ratio(row: Row) -> Value:
        used, offered = cpu_s(row), capacity_s(row)
        return None if used is None or not offered else used / offered

    def known(name: str) -> Callable[[Row], Value]:
        return lambda row: row[name]

    memory = "memory_used_bytes"
    return {
        **_span(rows),
        "interval_s": _newest(rows)["interval_s"],
        "first_interval_s": min(rows, key=lambda row: row["time"])["interval_s"],
        "known_s": _sum(rows, known("interval_s")),
        "cpu_known_s": _sum(rows, lambda r: None if cpu_s(r) is None else r["interval_s"]),
        "cpu_capacity_s": _sum(rows, capacity_s),
        "cpu_in_capacity_s": _sum(rows, lambda r: None if capacity_s(r) is None else cpu_s(r)),
        "memory_used_byte_s": _sum(rows, lambda r: _times(r[memory], r["interval_s"])),
        "memory_known_s": _sum(rows, lambda r: None if r[memory] is None else r["interval_s"]),
        "cpu_usage_ratio": ratio(_newest(rows)),
        "cpu_usage_ratio_max": _max(rows, ratio),
        "memory_used_bytes_max": _max(rows, known(memory)),
        "memory_rss_bytes_max": _max(rows, known("memory_rss_bytes")),
        "memory_swap_bytes_max": _max(rows, known("memory_swap_bytes")),
        **_deltas("job_sample", rows),
        **_gauges("job_sample", rows),
    }


def _node_cpu_usage(row: Row) -> Value:
    modes = ("user", "system", "nice", "irq", "softirq", "steal")
    if any(row[f"cpu_{mode}_s"] is None for mode in ("user", "system", "idle")):
        return None
    busy_s = sum(row[f"cpu_{mode}_s"] or 0.0 for mode in modes)
    all_s = busy_s + row["cpu_idle_s"] + (row["cpu_iowait_s"] or 0.0)
    return busy_s / all_s if all_s else None


def node_totals(rows: Sequence[Row]) -> dict[str, Any]:
    """Of all node_sample rows of one node."""
    return {
        **_span(rows),
        "interval_s": _newest(rows)["interval_s"],
        "known_s": _sum(rows, lambda row: row["interval_s"]),
        "cpu_usage_ratio": _node_cpu_usage(_newest(rows)),
        **_deltas("node_sample", rows),
        **_gauges("node_sample", rows),
    }


def _busy(rows: Sequence[Row]) -> dict[str, Value]:
    def held_s(row: Row) -> Value:
        return _times(row["interval_s"], row["share"])

    return {
        "known_s": _sum(rows, held_s),
        "busy_s": _sum(rows, lambda row: _times(row["utilization_ratio"], held_s(row))),
        "busy_known_s": _sum(
            rows, lambda row: None if row["utilization_ratio"] is None else held_s(row)
        ),
    }


def gpu_totals(rows: Sequence[Row]) -> dict[str, Any]:
    """Of all gpu_sample rows of one GPU. Rows of one time are one reading, shared by jobs."""
    return {
        **_span(rows),
        "sample_count": len({row["time"] for row in rows}),
        "interval_s": _newest(rows)["interval_s"],
        **_busy(rows),
        **_deltas("gpu_sample", rows),
        **_gauges("gpu_sample", rows),
    }


def job_gpu_totals(rows: Sequence[Row]) -> dict[str, Any]:
    """Of all gpu_sample rows of one job on one GPU."""
    newest = _newest(rows)
    gauges = ("utilization_ratio", "memory_used_bytes", "power_w", "temperature_celsius")
    return {
        **_span(rows),
        **_busy(rows),
        "share": newest["share"],
        "energy_j": _deltas("gpu_sample", rows)["energy_j"],
        **{name: newest[name] for name in gauges},
        "utilization_ratio_max": _max(rows, lambda row: row["utilization_ratio"]),
        "memory_used_bytes_max": _max(rows, lambda row: row["memory_used_bytes"]),
    }
