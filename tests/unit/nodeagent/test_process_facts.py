"""Whose a job is, and since when: told by its processes."""

from __future__ import annotations

import pytest

from nodeagent.clock import Instant
from nodeagent.process_facts import (
    learn,
    oldest_start,
    owner_uid,
    parse_start_ticks,
    parse_uid,
)
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


@pytest.mark.parametrize(
    ("name", "key", "job_id"),
    [
        ("v2-batch-t0", "job_1", "1"),
        ("v2-steps-t0", "job_2", "2"),
        ("v2-sluid-t0", "s0KNM7YTPABM00", "1"),
        ("v2-sluid-steps-t0", "s0KNM7YTR7Y200", "2"),
        ("v2-sluid-twonode-t0", "s0KNM7YTYKPZ00", "5"),
        ("v2-sluid-nocontain-t0", "s009M7YVN9YD00", "7"),
        ("v2-jobidpaths-t0", "job_22", "22"),
    ],
)
def test_recorded_jobs_tell_their_id_and_what_slurm_called_them(
    name: str, key: str, job_id: str, machine: Machine
) -> None:
    job = machine.replay(name).job(v2=f"{SCOPE}/{key}")
    name = key.replace("job_", "")
    known = job_id if name == job_id else None
    learned = learn(job, name, known, None)
    assert learned.job_id == job_id
    assert learned.facts is not None
    assert learned.facts.restart_count == 0
    assert learned.facts.partition == "debug"
    assert 1 <= len(learned.leaders) <= 8


def job_with(
    machine: Machine, environ: str, *, cgroup: str = "job_5", uid: int = 1001, step: str = "batch"
) -> None:
    part = f"sys/fs/cgroup/{SCOPE}/job_5/step_{step}/user/task_0"
    machine.write(f"{part}/cgroup.procs", "7\n")
    machine.write("proc/7/status", f"Uid:\t{uid}\t0\t0\t0\n")
    machine.write("proc/7/environ", environ)
    machine.write("proc/7/cgroup", f"0::/{SCOPE}/{cgroup}/step_{step}/user/task_0\n")


GOOD = "SLURM_JOB_ID=5\0SLURM_JOB_NAME=x\0"


@pytest.mark.parametrize(
    ("environ", "options"),
    [
        ("SLURM_JOB_ID=6\0SLURM_JOB_NAME=x\0", {}),
        ("SLURM_JOB_NAME=x\0", {}),
        ("SLURM_JOB_ID=x\0", {}),
        (GOOD, {"cgroup": "job_55"}),
        (GOOD, {"uid": 1002}),
        (GOOD, {"step": "extern"}),
        ("", {}),
    ],
)
def test_a_process_that_is_not_the_jobs_or_speaks_of_another_tells_nothing(
    environ: str, options: dict[str, str], machine: Machine
) -> None:
    job_with(machine, environ, **options)  # type: ignore[arg-type]
    assert learn(machine.job(v2=f"{SCOPE}/job_5"), "5", "5", 1001).facts is None
    job_with(machine, GOOD)
    facts = learn(machine.job(v2=f"{SCOPE}/job_5"), "5", "5", 1001).facts
    assert facts is not None
    assert facts.name == "x"


def test_slurms_own_word_on_a_sluid_beats_the_users(machine: Machine) -> None:
    machine.replay("v2-sluid-t0")
    lie = "SLURM_JOB_ID=99\0SLURM_JOB_SLUID=s0KNM7YTPABM00\0SLURM_JOB_NAME=x\0"
    machine.write("proc/535/environ", lie)
    job = machine.job(v2=f"{SCOPE}/s0KNM7YTPABM00")
    learned = learn(job, "s0KNM7YTPABM00", None, None)
    assert (learned.job_id, learned.facts) == ("1", None)
    for pid in ("516", "526"):
        machine.write(f"proc/{pid}/cmdline", "")
    assert learn(job, "s0KNM7YTPABM00", None, None).job_id == "99"
    machine.write("proc/535/environ", lie.replace("M00", "M01"))
    assert learn(job, "s0KNM7YTPABM00", None, None).job_id is None


def test_a_job_of_thousands_is_asked_through_a_few(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def note(data: bytes) -> dict[str, str]:
        asked.append(data)
        return {}

    monkeypatch.setattr("nodeagent.process_facts.parse_environ", note)
    part = f"sys/fs/cgroup/{SCOPE}/job_5/step_0/user/task_0"
    machine.write(f"{part}/cgroup.procs", "".join(f"{pid}\n" for pid in range(100, 5100)))
    for pid in range(100, 200):
        machine.write(f"proc/{pid}/environ", GOOD)
        machine.write(f"proc/{pid}/cgroup", f"0::/{SCOPE}/job_5/step_0/user/task_0\n")
    learned = learn(machine.job(v2=f"{SCOPE}/job_5"), "5", "5", None)
    assert learned.leaders == (100,)
    assert len(asked) == 8


def test_steps_of_v1_are_asked_too(machine: Machine) -> None:
    machine.write("sys/fs/cgroup/freezer/slurm/uid_7/job_5/step_0/task_0/cgroup.procs", "7\n")
    machine.write("proc/7/environ", GOOD)
    machine.write("proc/7/cgroup", "3:freezer:/slurm/uid_7/job_5/step_0/task_0\n0::/\n")
    job = machine.job(freezer="freezer/slurm/uid_7/job_5")
    assert learn(job, "5", "5", None).leaders == (7,)
