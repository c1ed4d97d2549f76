"""What happens right before a job's directory goes, on the real kernel: CPU time, OOM kills, short
jobs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import pytest

from tests.fix_cgroup import CgroupJob
from tests.integration.nodeagent.conftest import Receiver, StartAgent, until

pytestmark = pytest.mark.root
Jobs = Callable[..., CgroupJob]

BURN = "import sys, time\nwhile time.process_time() < float(sys.argv[1]):\n    sum(range(10000))\n"
HOLD = "held = bytearray(int(200e6)); held[::4096] = b'x' * len(held[::4096])"
# What slurmstepd takes to clean up after the last process; the agent needs a tenth of it on a host
# that has nothing else to do.
CLEANING_S = 0.15


def environ(job: CgroupJob, **more: str) -> dict[str, str]:
    told = {"SLURM_JOB_ID": job.job_id, "SLURM_JOB_NAME": "burn", "SLURM_JOB_PARTITION": "debug"}
    return {**os.environ, **told, **more}


def entry(receiver: Receiver, job_id: str) -> dict[str, object]:
    """Return what was said last of a job."""
    told: dict[str, object] = {}
    for numbers in receiver.order:
        jobs = receiver.batches[numbers].get("jobs", {})
        for values in zip(*jobs.values(), strict=True):
            found = dict(zip(jobs, values, strict=True))
            if found["job_id"] == job_id:
                told = found
    return told


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("seconds", [1.5, pytest.param(5.0, marks=pytest.mark.long)])
def test_the_cpu_of_a_short_job_is_seen_to_its_end(
    version: str,
    seconds: float,
    slurm_v1_job: Jobs,
    slurm_v2_job: Jobs,
    receiver: Receiver,
    start_process: StartAgent,
) -> None:
    """No round comes in its life."""
    make = slurm_v1_job if version == "v1" else slurm_v2_job
    lasting = make()
    start_process(f"--node-name={lasting.node}", "--interval=3600")
    until(lambda: len(receiver.order) >= 1)
    job = make(job_id="4712", uid=0, node=lasting.node)
    part = "step_batch/task_0" if version == "v1" else "step_batch/user/task_0"
    job.add_part(part)
    work = job.run([sys.executable, "-c", BURN, str(seconds)], part, env=environ(job))
    work.wait(60)
    time.sleep(CLEANING_S)
    used_s = job.usage_s()
    job.remove_dirs()
    until(lambda: receiver.ends("4712") != [], 5.0)
    assert used_s >= seconds
    assert receiver.cpu_s("4712") == pytest.approx(used_s, rel=0.03)
    told = entry(receiver, "4712")
    assert (told["restart_count"], told["name"], told["partition"]) == (0, "burn", "debug")


def test_an_oom_kill_in_a_step_that_is_gone_at_once_is_counted(
    slurm_v1_job: Jobs, receiver: Receiver, start_process: StartAgent
) -> None:
    """v1 forgets it with the step's directory, which no look of each second would meet."""
    job = slurm_v1_job()
    job.limit_memory(64 * 2**20)
    job.add_part("step_batch/task_0")
    start_process(f"--node-name={job.node}", "--interval=1")
    until(lambda: len(receiver.order) >= 1)
    job.run(["sleep", "60"], "step_batch/task_0", env=environ(job))
    for number in range(3):
        time.sleep(1.2 + 0.27 * number)
        job.add_part(f"step_{number}/task_0")
        killed = job.run([sys.executable, "-c", HOLD], f"step_{number}/task_0")
        assert killed.wait(20) == -9
        time.sleep(CLEANING_S)
        for path in job.dirs.values():
            (path / f"step_{number}/task_0").rmdir()
            (path / f"step_{number}").rmdir()
    until(lambda: sum(row.get("oom_kills") or 0 for row in receiver.rows(job.job_id)) == 3, 5.0)
    assert entry(receiver, job.job_id)["oom_killed"] is True


def test_an_oom_kill_that_ends_the_job_is_counted(
    slurm_v1_job: Jobs, receiver: Receiver, start_process: StartAgent
) -> None:
    lasting = slurm_v1_job()
    start_process(f"--node-name={lasting.node}", "--interval=3600")
    until(lambda: len(receiver.order) >= 1)
    for job_id in ("4712", "4713"):
        job = slurm_v1_job(job_id=job_id, node=lasting.node)
        job.limit_memory(64 * 2**20)
        job.add_part("step_batch/task_0")
        time.sleep(0.5)
        killed = job.run([sys.executable, "-c", HOLD], "step_batch/task_0", env=environ(job))
        assert killed.wait(20) == -9
        time.sleep(CLEANING_S)
        job.remove_dirs()
        until(lambda gone=job_id: receiver.ends(gone) != [], 5.0)  # type: ignore[misc]
        (row,) = receiver.rows(job_id)
        assert row["oom_kills"] == 1
        assert entry(receiver, job_id)["oom_killed"] is True


def test_a_job_shorter_than_a_second_is_met(
    slurm_v1_job: Jobs, receiver: Receiver, start_process: StartAgent
) -> None:
    lasting = slurm_v1_job()
    start_process(f"--node-name={lasting.node}", "--interval=3600")
    until(lambda: len(receiver.order) >= 1)
    ids = [str(number) for number in range(5000, 5005)]
    for job_id in ids:
        job = slurm_v1_job(job_id=job_id, node=lasting.node)
        job.run([sys.executable, "-c", BURN, "0.2"]).wait(20)
        job.remove_dirs()
    until(lambda: all(receiver.ends(job_id) for job_id in ids), 5.0)
    for job_id in ids:
        assert receiver.cpu_s(job_id) > 0.1
