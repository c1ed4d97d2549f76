"""CPUs allocated, only where Slurm confines the job."""

from __future__ import annotations

import pytest

from nodeagent.collector import NoData
from nodeagent.collectors.job_cpuset import COLLECTOR
from tests.unit.nodeagent.conftest import Machine

V2 = "system.slice/n1_slurmstepd.scope/job_8"


def test_recorded_jobs(machine: Machine) -> None:
    machine.replay("v1-oom-t1")
    v1 = COLLECTOR.read(machine.job(cpuset="cpuset/slurm_n1/uid_1001/job_42"))
    assert v1.gauges == {"cpus_allocated": 2}
    machine.replay("v2-oom-t1")
    assert COLLECTOR.read(machine.job(v2=V2)).gauges == {"cpus_allocated": 1}


def test_an_old_kernel_has_no_effective_list(machine: Machine) -> None:
    machine.write("sys/fs/cgroup/cpuset/job/cpuset.cpus", "0-3,8\n")
    assert COLLECTOR.read(machine.job(cpuset="cpuset/job")).gauges == {"cpus_allocated": 5}


def test_a_job_not_confined_is_allocated_nothing_we_know_of(machine: Machine) -> None:
    machine.replay("v2-oom-t1")
    machine.write(f"sys/fs/cgroup/{V2}/cpuset.cpus", "\n")
    with pytest.raises(NoData):
        COLLECTOR.read(machine.job(v2=V2))
    machine.write("sys/fs/cgroup/cpuset/job/cpuset.effective_cpus", "\n")
    with pytest.raises(NoData):
        COLLECTOR.read(machine.job(cpuset="cpuset/job"))
