"""Whose a job is, and since when: told by its processes."""

from __future__ import annotations

from nodeagent.clock import Instant
from nodeagent.process_facts import oldest_start, owner_uid, parse_start_ticks, parse_uid
from tests.unit.nodeagent.conftest import Machine

SCOPE = "system.slice/n1_slurmstepd.scope"


def test_the_owner_is_the_user_below_the_steps(machine: Machine) -> None:
    machine.replay("v2-batch-t0")
    assert owner_uid(machine.job(v2=f"{SCOPE}/job_1")) == 1001


def test_a_job_of_root_is_roots_and_an_extern_step_alone_tells_nothing(machine: Machine) -> None:
    job = f"sys/fs/cgroup/{SCOPE}/job_5"
    machine.write("proc/7/status", "Name:\tsleep\nUid:\t0\t0\t0\t0\n")
    machine.write(f"{job}/step_extern/user/task_0/cgroup.procs", "7\n")
    machine.write(f"{job}/step_batch/slurm/cgroup.procs", "7\n")
    assert owner_uid(machine.job(v2=f"{SCOPE}/job_5")) is None
    machine.write(f"{job}/step_batch/user/task_0/cgroup.procs", "7\n8\n")
    assert owner_uid(machine.job(v2=f"{SCOPE}/job_5")) == 0


def test_the_oldest_process_bounds_the_start(machine: Machine) -> None:
    machine.replay("v2-batch-t0")
    job = machine.job(v2=f"{SCOPE}/job_1")
    starts = [
        parse_start_ticks((machine.paths.proc / pid / "stat").read_text()) / 100
        for pid in ("516", "531", "533", "548")
    ]
    assert oldest_start(job, Instant(1000.0, 100.0)) == 1000.0 - 100.0 + min(starts)


def test_a_job_without_processes_tells_nothing(machine: Machine) -> None:
    machine.write(f"sys/fs/cgroup/{SCOPE}/job_5/cgroup.procs", "")
    job = machine.job(v2=f"{SCOPE}/job_5")
    assert owner_uid(job) is None
    assert oldest_start(job, Instant(1000.0, 100.0)) is None


def test_a_name_may_hold_anything() -> None:
    stat = "5 (a) b (c) S 1 " + " ".join(str(n) for n in range(5, 30))
    assert parse_start_ticks(stat) == 22
    assert parse_uid("Name:\tUid: 5\nUid:\t1001\t0\t0\t0\n") == 1001
    assert parse_uid("") is None
