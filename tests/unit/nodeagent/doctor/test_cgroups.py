"""What the doctor sees of recorded machines' cgroups."""

from __future__ import annotations

import shutil

import pytest

from nodeagent.doctor.cgroups import examine_cgroups, view_slurm
from nodeagent.doctor.finding import Finding, Status
from nodeagent.identity import Identity
from tests.unit.nodeagent.conftest import Machine

N1 = Identity("n1", ("vm",), frozenset({"n1"}))


def see(machine: Machine, identity: Identity = N1) -> dict[str, Finding]:
    view = view_slurm(machine.paths)
    found = examine_cgroups(machine.paths, view, identity, "lab")
    return {finding.subject: finding for finding in found}


def test_v2_of_24_11(machine: Machine) -> None:
    found = see(machine.replay("v2-oom-t0"))
    assert found["version"].detail.startswith("v2 at ")
    assert "system.slice/n1_slurmstepd.scope" in found["Slurm"].detail
    assert "slurmd and system in it are no jobs" in found["Slurm"].detail
    assert found["jobs now"].detail == "1: 8"
    assert found["left behind"].detail.startswith("1: empty")
    assert found["node name"].detail == "n1 (also vm)"
    assert found["cluster"].detail == "lab"
    assert all(each.status in (Status.OK, Status.ABSENT) for each in found.values())


@pytest.mark.parametrize("name", ["v2-sluid-t0", "v2-sluid-nocontain-t0", "v2-sluid-steps-t0"])
def test_sluids_are_shown_with_the_ids_behind_them(name: str, machine: Machine) -> None:
    found = see(machine.replay(name))
    assert " (s0" in found["jobs now"].detail
    assert "hidden jobs" not in found


def test_a_sluid_that_cannot_be_resolved_is_a_fault(machine: Machine) -> None:
    machine.replay("v2-sluid-t0")
    for process in machine.paths.proc.glob("[0-9]*"):
        shutil.rmtree(process)
    found = see(machine)
    assert found["hidden jobs"].status is Status.FAULT
    assert "CgroupJobIdPaths=yes" in (found["hidden jobs"].advice or "")


def test_v1(machine: Machine) -> None:
    found = see(machine.replay("v1-oom-t0"))
    assert found["version"].detail.startswith("v1 at ")
    assert found["version"].detail.endswith("cpuacct cpu memory cpuset pids blkio freezer")
    assert found["Slurm"].detail == "freezer/slurm_n1"
    assert found["jobs now"].detail == "1: 42"


def test_no_cgroups_is_a_fault_and_no_slurm_a_warning(machine: Machine) -> None:
    found = see(machine)
    assert found["version"].status is Status.FAULT
    assert found["Slurm"].status is Status.WARNING


def test_several_names_each_have_a_stream(machine: Machine) -> None:
    many = N1._replace(cgroup_names=frozenset({"n1", "n2"}))
    found = see(machine.replay("v2-sluid-twonode-t0"), many)
    assert found["node name"].detail == "n1 (also vm); and n2, each with a stream of its own"
