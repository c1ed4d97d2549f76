"""Where the kernel offers no news of memory running out, there is none and no harm."""

from __future__ import annotations

from nodeagent.oom_notice import OomNotice
from tests.unit.nodeagent.conftest import Machine


def test_without_v1s_memory_controller_there_is_no_descriptor(machine: Machine) -> None:
    machine.replay("v2-batch-t0")
    notice = OomNotice()
    notice.cover(machine.job(v2="system.slice/n1_slurmstepd.scope/job_1"))
    assert notice.handle == -1
    notice.drain()
    notice.close()


def test_a_folder_that_is_no_cgroup_stays_as_it_is(machine: Machine) -> None:
    machine.replay("v1-oom-t0")
    before = sorted(machine.paths.cgroup.rglob("*"))
    notice = OomNotice()
    notice.cover(machine.job(memory="memory/slurm_n1/uid_1001/job_42"))
    assert not notice.drain()
    notice.close()
    notice.close()
    assert sorted(machine.paths.cgroup.rglob("*")) == before
