"""Processes and threads, added up over the job's tree."""

from __future__ import annotations

import shutil

import pytest

from nodeagent.collector import NoData
from nodeagent.collectors.job_processes import COLLECTOR
from tests.unit.nodeagent.conftest import Machine


def test_v1_counts_the_tree_and_pids_current_are_threads(machine: Machine) -> None:
    machine.replay("v1-oom-t1")
    inner = "slurm_n1/uid_1001/job_42"
    job = machine.job(freezer=f"freezer/{inner}", pids=f"pids/{inner}")
    assert COLLECTOR.read(job).gauges == {"processes": 2, "threads": 2, "_populated": 1.0}
    machine.write(f"sys/fs/cgroup/pids/{inner}/pids.current", "7\n")
    assert COLLECTOR.read(job).gauges["threads"] == 7
    assert COLLECTOR.read(machine.job(freezer=f"freezer/{inner}")).gauges["threads"] == 2


def test_v2_without_the_pids_controller_counts_threads(machine: Machine) -> None:
    machine.replay("v2-batch-t0")
    job = machine.job(v2="system.slice/n1_slurmstepd.scope/job_1")
    assert COLLECTOR.read(job).gauges == {"processes": 4, "threads": 32, "_populated": 1.0}


def test_a_job_left_behind_is_not_populated(machine: Machine) -> None:
    machine.replay("v2-oom-t0")
    job = machine.job(v2="system.slice/n1_slurmstepd.scope/job_1")
    assert COLLECTOR.read(job).gauges == {"processes": 0, "threads": 0, "_populated": 0.0}


def test_a_job_that_is_gone_has_no_count_rather_than_none(machine: Machine) -> None:
    machine.replay("v1-oom-t1")
    inner = "freezer/slurm_n1/uid_1001/job_42"
    job = machine.job(freezer=inner)
    shutil.rmtree(machine.paths.cgroup / inner)
    with pytest.raises(NoData):
        COLLECTOR.read(job)
