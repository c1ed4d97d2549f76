"""Real v2 cgroups under the host's unified mount: CPU, PSI, and the end of a job."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import pytest

from nodeagent.watch import Watch
from tests.fix_cgroup import CgroupJob
from tests.integration.nodeagent.conftest import Receiver, StartAgent, until
from tests.integration.nodeagent.test_cgroup_v1 import BURN

pytestmark = pytest.mark.root
Jobs = Callable[..., CgroupJob]


def test_cpu_and_pressure_are_the_kernels_and_the_end_is_told(
    slurm_v2_job: Jobs, receiver: Receiver, start_process: StartAgent
) -> None:
    job = slurm_v2_job()
    agent = start_process(f"--node-name={job.node}", "--interval=1")
    until(lambda: len(receiver.order) >= 1)
    job.add_part("step_batch/user/task_0")
    # Two on each CPU wait for one another.
    for _ in range(4):
        job.run([sys.executable, "-c", BURN, "300"], "step_batch/user/task_0")
    until(lambda: any(row.get("processes") == 4 for row in receiver.rows(job.job_id)))
    time.sleep(2)
    job.kill()
    usage_s = job.usage_s()
    until(lambda: receiver.cpu_s(job.job_id) >= usage_s * 0.999)
    job.remove_dirs()
    until(lambda: receiver.ends(job.job_id) != [])
    agent.stop()
    assert usage_s > 1
    assert receiver.cpu_s(job.job_id) == pytest.approx(usage_s, rel=0.01)
    rows = receiver.rows(job.job_id)
    assert sum(row.get("cpu_pressure_some_s") or 0 for row in rows) > 0.5
    assert len(receiver.ends(job.job_id)) == 1


def test_the_kernel_wakes_a_wait_when_a_job_empties_and_when_it_is_gone(
    slurm_v2_job: Jobs,
) -> None:
    job = slurm_v2_job()
    (folder,) = job.dirs.values()
    watch = Watch()
    handle = os.open(folder / "cgroup.events", os.O_RDONLY)
    try:
        sleeper = job.run(["sleep", "60"])
        until(lambda: b"populated 1" in os.pread(handle, 100, 0))
        assert watch.wait(0.05, {handle: "5"}) == set()
        sleeper.kill()
        sleeper.wait(10)
        start = time.monotonic()
        assert watch.wait(10, {handle: "5"}) == {handle}
        assert b"populated 0" in os.pread(handle, 100, 0)
        assert watch.wait(0.05, {handle: "5"}) == set()
        job.remove_dirs()
        assert watch.wait(10, {handle: "5"}) == {handle}
        assert time.monotonic() - start < 5
    finally:
        os.close(handle)
        watch.close()


def test_killed_at_random_the_sum_is_the_kernels(
    slurm_v2_job: Jobs, receiver: Receiver, start_process: StartAgent
) -> None:
    job = slurm_v2_job()
    arguments = (f"--node-name={job.node}", "--interval=0.3")
    agent = start_process(*arguments)
    until(lambda: len(receiver.order) >= 1)
    work = job.run([sys.executable, "-c", BURN, "300"])
    for number in range(5):
        time.sleep(0.3 + 0.2 * number)
        agent.kill()
        agent = start_process(*arguments)
    work.kill()
    work.wait(10)
    usage_s = job.usage_s()
    until(lambda: receiver.cpu_s(job.job_id) >= usage_s * 0.999)
    agent.stop()
    assert receiver.cpu_s(job.job_id) == pytest.approx(usage_s, rel=0.01)
