"""Block I/O of a job."""

from __future__ import annotations

import pytest

from nodeagent.collector import NoData
from nodeagent.collectors.job_io import COLLECTOR, parse_blkio, parse_io_stat
from tests.unit.nodeagent.conftest import Machine

IO_STAT = (
    "254:32 rbytes=100 wbytes=200 rios=1 wios=2 dbytes=0 dios=0\n"
    "253:0 rbytes=100 wbytes=200 rios=1 wios=2 dbytes=0 dios=0\n"
    "254:0 rbytes=5 wbytes=6 rios=7 wios=8 dbytes=0 dios=0\n"
)


def test_v2_devices_add_up_without_the_stacked_ones() -> None:
    assert parse_io_stat(IO_STAT, lambda device: device == "253:0") == {
        "io_read_bytes": 105,
        "io_write_bytes": 206,
        "io_read_ops": 8,
        "io_write_ops": 10,
    }


def test_an_empty_file_is_no_io_yet() -> None:
    assert set(parse_io_stat("", lambda _: False).values()) == {0}
    assert parse_blkio("Total 0\n", ("r", "w"), lambda _: False) == {"r": 0, "w": 0}


def test_v1_lines() -> None:
    text = "8:0 Read 10\n8:0 Write 20\n8:0 Sync 30\n8:0 Total 30\n9:0 Read 5\nTotal 35\n"
    assert parse_blkio(text, ("r", "w"), lambda _: False) == {"r": 15, "w": 20}
    assert parse_blkio(text, ("r", "w"), lambda device: device == "9:0") == {"r": 10, "w": 20}


def test_sysfs_tells_what_is_stacked(machine: Machine) -> None:
    machine.write("sys/fs/cgroup/job/io.stat", IO_STAT)
    machine.write("sys/dev/block/253:0/dm/name", "vg-root")
    machine.write("sys/dev/block/254:0/device/x", "")
    counters = COLLECTOR.read(machine.job(v2="job")).counters
    assert counters["v2:io_read_bytes"] == 105


def test_a_recorded_v1_job(machine: Machine) -> None:
    machine.replay("v1-oom-t1")
    counters = COLLECTOR.read(machine.job(blkio="blkio/slurm_n1/uid_1001/job_42")).counters
    assert counters == {
        "blkio:io_read_bytes": 0,
        "blkio:io_write_bytes": 0,
        "blkio:io_read_ops": 0,
        "blkio:io_write_ops": 0,
    }


def test_a_stock_slurm_has_none(machine: Machine) -> None:
    machine.replay("v2-oom-t1")
    with pytest.raises(NoData):
        COLLECTOR.read(machine.job(v2="system.slice/n1_slurmstepd.scope/job_8"))
