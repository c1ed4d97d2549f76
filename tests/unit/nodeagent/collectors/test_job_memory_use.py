"""Memory in use and its peak."""

from __future__ import annotations

import pytest

from nodeagent.collector import NoData
from nodeagent.collectors.job_memory_use import COLLECTOR
from tests.unit.nodeagent.conftest import Machine

V2 = "system.slice/n1_slurmstepd.scope/job_8"


def test_v1_and_v2(machine: Machine) -> None:
    machine.replay("v1-oom-t1")
    v1 = COLLECTOR.read(machine.job(memory="memory/slurm_n1/uid_1001/job_42"))
    assert v1.gauges == {"memory_used_bytes": 45_469_696, "memory_peak_bytes": 100_663_296}
    machine.replay("v2-oom-t1")
    v2 = COLLECTOR.read(machine.job(v2=V2))
    assert v2.gauges == {"memory_used_bytes": 1_454_080, "memory_peak_bytes": 62_914_560}


def test_a_kernel_without_memory_peak(machine: Machine) -> None:
    machine.replay("v2-oom-t1")
    (machine.paths.cgroup / V2 / "memory.peak").unlink()
    assert COLLECTOR.read(machine.job(v2=V2)).gauges == {"memory_used_bytes": 1_454_080}
    (machine.paths.cgroup / V2 / "memory.current").unlink()
    with pytest.raises(NoData):
        COLLECTOR.read(machine.job(v2=V2))
