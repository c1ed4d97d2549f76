"""The declared columns: names carry base units, ranges are sound."""

from __future__ import annotations

import re

import pytest

from tsobs.columns import TABLES, Column, Kind, SampleTable

COLUMNS = [(table.name, column) for table in TABLES.values() for column in table.columns]
UNITS = ("_s", "_j", "_w", "_bytes", "_hz", "_celsius", "_ratio")
# Plain numbers of things.
COUNTS = {
    *("cpus", "cpus_allocated", "processes", "processes_running", "threads", "load1", "load5"),
    *("load15", "page_faults", "major_page_faults", "memory_limit_hits", "oom_kills"),
    *("io_read_ops", "io_write_ops", "xid_errors", "ecc_corrected_errors"),
    *("ecc_uncorrected_errors", "network_receive_errors", "network_transmit_errors"),
    *("network_receive_packets", "network_transmit_packets"),
}


def test_the_tables() -> None:
    assert list(TABLES) == ["job_sample", "gpu_sample", "node_sample"]
    for name, table in TABLES.items():
        assert table.name == name
        assert table.keys[0] == "time"
        assert table.keys[-1] == "interval_s"


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_names_are_unique(table: SampleTable) -> None:
    names = [*table.keys, *(column.name for column in table.columns)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=lambda value: str(value)[:40])
def test_a_column(table: str, column: Column) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", column.name)
    assert column.name.endswith(UNITS) or column.name in COUNTS, f"{column.name} has no unit"
    assert column.low < column.high
    # A delta is what was used: less than nothing would be a counter that ran backwards.
    assert column.kind is Kind.GAUGE or column.low == 0
    if column.name.endswith("_ratio"):
        assert (column.low, column.high) == (0, 1)
    assert column.help
    assert not column.help.endswith(".")


def test_energy_and_power_do_not_change_kind() -> None:
    for _, column in COLUMNS:
        if column.name.endswith("_j"):
            assert column.kind is Kind.DELTA
        if column.name.endswith(("_w", "_celsius", "_hz", "_ratio")):
            assert column.kind is Kind.GAUGE
