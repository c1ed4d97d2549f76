"""Waiting time of a job."""

from __future__ import annotations

import pytest

from nodeagent.collector import NoData
from nodeagent.collectors.job_pressure import COLLECTOR
from tests.unit.nodeagent.conftest import Machine

V2 = "system.slice/n1_slurmstepd.scope/job_8"


def test_a_recorded_job(machine: Machine) -> None:
    machine.replay("v2-oom-t1")
    counters = COLLECTOR.read(machine.job(v2=V2)).counters
    assert counters["v2:cpu_pressure_some_s"] == 363_808_000
    assert counters["v2:cpu_pressure_full_s"] == 128_433_000
    assert counters["v2:io_pressure_full_s"] == 367_000
    assert set(counters) == {
        f"v2:{subject}_pressure_{kind}_s"
        for subject in ("cpu", "memory", "io")
        for kind in ("some", "full")
    }


def test_v1_and_kernels_without_psi_have_none(machine: Machine) -> None:
    machine.write("sys/fs/cgroup/memory/job/x", "")
    with pytest.raises(NoData):
        COLLECTOR.read(machine.job(memory="memory/job"))
    machine.write(f"sys/fs/cgroup/{V2}/cpu.stat", "")
    with pytest.raises(NoData):
        COLLECTOR.read(machine.job(v2=V2))
