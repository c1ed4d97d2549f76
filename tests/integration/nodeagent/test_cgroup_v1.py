"""Real v1 cgroups: the sums are the kernel's, through kills, short jobs and OOM kills."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable

import pytest

from tests.fix_cgroup import CgroupJob
from tests.integration.nodeagent.conftest import Receiver, StartAgent, until

pytestmark = pytest.mark.root
Jobs = Callable[..., CgroupJob]

BURN = """
import sys, time
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    sum(range(10000))
"""
HOLD = """
import sys, time
held = bytearray(int(sys.argv[1]))
held[::4096] = b"x" * len(held[::4096])
time.sleep(float(sys.argv[2]))
"""


def burn(job: CgroupJob, seconds: float, part: str = "") -> None:
    job.run([sys.executable, "-c", BURN, str(seconds)], part).wait(seconds + 30)


def kills(times: int) -> list[object]:
    return [pytest.param(times, marks=[pytest.mark.long] if times > 12 else [])]


@pytest.mark.parametrize("times", [*kills(12), *kills(50)])
@pytest.mark.timeout(180)
def test_killed_at_random_the_sum_is_the_kernels(
    times: int, slurm_v1_job: Jobs, receiver: Receiver, start_process: StartAgent
) -> None:
    rand = random.Random(times)
    job = slurm_v1_job()
    arguments = (f"--node-name={job.node}", "--interval=0.3")
    start_process(*arguments).kill()
    agent = start_process(*arguments)
    until(lambda: len(receiver.order) >= 2)
    work = job.run([sys.executable, "-c", BURN, "300"])
    for _ in range(times):
        receiver.lose_every = rand.choice([0, 2, 3])
        time.sleep(rand.uniform(0.1, 1.2))
        agent.kill()
        agent = start_process(*arguments)
    receiver.lose_every = 0
    work.kill()
    work.wait(10)
    usage_s = job.usage_s()
    until(lambda: receiver.cpu_s(job.job_id) >= usage_s * 0.999)
    agent.stop()
    assert usage_s > times * 0.2
    assert receiver.cpu_s(job.job_id) == pytest.approx(usage_s, rel=0.01)


def test_a_jobs_end_is_told_within_two_seconds_with_a_reading_a_second_old(
    slurm_v1_job: Jobs, receiver: Receiver, start_process: StartAgent
) -> None:
    """At the default interval: nothing of this waits for a round."""
    job = slurm_v1_job()
    start_process(f"--node-name={job.node}", "--interval=3600")
    until(lambda: len(receiver.order) >= 1)
    short = slurm_v1_job(job_id="4712", node=job.node)
    short.add_part("step_batch/task_0")
    made_at = time.time()
    burn(short, 2.2, "step_batch/task_0")
    usage_s = short.usage_s()
    short.remove_dirs()
    ended_at = time.time()
    until(lambda: receiver.ends("4712") != [], 3.0)
    assert time.time() - ended_at < 2.5
    (gone_at,) = receiver.ends("4712")
    assert ended_at - 1.3 < gone_at <= ended_at
    (row,) = receiver.rows("4712")
    assert row["time"] == gone_at
    assert usage_s - 1.3 < receiver.cpu_s("4712") <= usage_s + 0.001
    assert row["interval_s"] == pytest.approx(gone_at - made_at, abs=0.3)
    assert row["memory_peak_bytes"] > 2**20
    (entry,) = [
        document["jobs"]
        for document in receiver.batches.values()
        if document.get("jobs", {}).get("job_id") == ["4712"]
    ]
    assert entry["started_at"][0] == pytest.approx(made_at, abs=0.3)
    assert entry["uid"] == [1000]


def test_a_job_made_again_ends_and_begins(
    slurm_v1_job: Jobs, receiver: Receiver, start_process: StartAgent
) -> None:
    job = slurm_v1_job()
    agent = start_process(f"--node-name={job.node}", "--interval=1")
    until(lambda: len(receiver.order) >= 1)
    burn(job, 1.5)
    until(lambda: len(receiver.rows(job.job_id)) >= 2)
    time.sleep(1.2)
    first_s = job.usage_s()
    job.remove_dirs()
    job.make()
    burn(job, 1.0)
    until(lambda: receiver.ends(job.job_id) != [])
    time.sleep(1.2)
    agent.stop()
    assert len(receiver.ends(job.job_id)) == 1
    assert receiver.cpu_s(job.job_id) == pytest.approx(first_s + job.usage_s(), rel=0.02)


def test_memory_and_an_oom_kill_in_a_step(
    slurm_v1_job: Jobs, receiver: Receiver, start_process: StartAgent
) -> None:
    job = slurm_v1_job()
    job.limit_memory(96 * 2**20)
    for part in ("step_batch/task_0", "step_0/task_0"):
        job.add_part(part)
    agent = start_process(f"--node-name={job.node}", "--interval=1")
    until(lambda: len(receiver.order) >= 1)
    held = job.run([sys.executable, "-c", HOLD, str(24 * 2**20), "60"], "step_batch/task_0")
    usage = job.dirs["memory"] / "memory.usage_in_bytes"
    until(lambda: int(usage.read_text()) > 24 * 2**20)
    killed = job.run([sys.executable, "-c", HOLD, str(200 * 2**20), "1"], "step_0/task_0")
    assert killed.wait(20) == -9
    time.sleep(2.2)
    agent.stop()
    held.kill()
    rows = receiver.rows(job.job_id)
    assert sum(row.get("oom_kills", 0) or 0 for row in rows) == 1
    assert sum(row.get("memory_limit_hits", 0) or 0 for row in rows) >= 1
    last = rows[-1]
    assert 24 * 2**20 < last["memory_rss_bytes"] < 40 * 2**20
    assert last["memory_rss_bytes"] <= last["memory_used_bytes"] < 48 * 2**20
    assert last["memory_limit_bytes"] == 96 * 2**20
    assert last["memory_peak_bytes"] == pytest.approx(96 * 2**20, rel=0.02)
    assert last["processes"] == 1
    assert receiver.batches[receiver.order[-1]]["jobs"]["oom_killed"] == [True]
