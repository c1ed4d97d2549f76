"""For each quantity: measured, or why not."""

from __future__ import annotations

from nodeagent.collectors import NODE_COLLECTORS
from nodeagent.doctor.cgroups import view_slurm
from nodeagent.doctor.finding import Finding, Status
from nodeagent.doctor.quantities import examine_jobs, examine_node
from tests.unit.nodeagent.conftest import Machine


def see(machine: Machine) -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine_jobs(view_slurm(machine.paths))}


def test_a_stock_v2_site_has_all_but_block_io(machine: Machine) -> None:
    found = see(machine.replay("v2-batch-t0"))
    missing = {name for name, each in found.items() if each.status is Status.WARNING}
    assert missing == {"block I/O"}
    assert "no io.stat" in found["block I/O"].detail
    assert '"+io +pids"' in (found["block I/O"].advice or "")
    assert found["memory in use"].detail == "memory_used_bytes, memory_rss_bytes"


def test_io_that_was_turned_on_is_seen(machine: Machine) -> None:
    machine.replay("v2-batch-t0")
    machine.write("sys/fs/cgroup/system.slice/n1_slurmstepd.scope/job_1/io.stat", "")
    assert see(machine)["block I/O"].status is Status.OK


def test_v1_has_no_psi(machine: Machine) -> None:
    found = see(machine.replay("v1-oom-t0"))
    assert "v2 only" in found["waiting (PSI)"].detail
    assert found["CPU time"].detail == "cpu_user_s, cpu_system_s"
    assert found["OOM kills"].status is Status.OK


def test_without_a_job_nothing_is_claimed(machine: Machine) -> None:
    found = see(machine)
    assert found["all"].status is Status.ABSENT
    assert {each.status for each in found.values()} == {Status.ABSENT}


def test_the_node_by_collector_and_its_energy_counters(machine: Machine) -> None:
    machine.replay("v2-batch-t0")
    found = list(examine_node(machine.paths))
    assert len(found) == len(NODE_COLLECTORS) + 1
    assert "no RAPL" in found[-1].detail
    machine.write("sys/class/powercap/intel-rapl:0/energy_uj", "1")
    assert "1 readable RAPL" in list(examine_node(machine.paths))[-1].detail
    machine.write("proc/meminfo", "rubbish")
    machine.write("proc/stat", "cpu x\n")
    broken = [each for each in examine_node(machine.paths) if each.status is Status.ABSENT]
    assert len(broken) >= 2
