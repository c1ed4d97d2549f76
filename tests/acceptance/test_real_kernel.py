"""Acceptance 2: what a real job burned and held, through agent, HTTP, database and API."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.acceptance.asking import get, wait_until
from tests.fix_cgroup import CgroupJob, SlurmJobs
from tests.processes import AgentProcess, ServiceProcess

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]

# Large beside what an interpreter takes for itself.
HELD_MIB = 400
# Holds its memory, burns until its own clock shows the CPU seconds, at 60 % duty, and says what it
# really used.
JOB = """
import resource, sys, time
held = bytearray(b"x") * (int(sys.argv[1]) << 20)
end, burn = time.monotonic() + float(sys.argv[2]), 0.6
while time.monotonic() < end:
    until = time.process_time() + burn / 10
    while time.process_time() < until:
        pass
    time.sleep((1 - burn) / 10)
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, flush=True)
"""


@pytest.mark.parametrize("seconds", [41, pytest.param(87, marks=pytest.mark.long)])
def test_v1_job_at_the_default_interval(
    database_url: str, slurm_v1_job: SlurmJobs, tmp_path: Path, seconds: float
) -> None:
    """CPU within 3 % and memory within 5 % of what the job says it used."""
    with ServiceProcess(database_url) as service:
        job: CgroupJob = slurm_v1_job(job_id="880001")
        job_url = f"{service.url}/v1/jobs/880001"
        with AgentProcess(service.url, tmp_path / "state", node_name=job.node):
            wait_until(lambda: get(f"{service.url}/v1/nodes")[1]["nodes"], 40)
            process = job.run(
                [sys.executable, "-c", JOB, str(HELD_MIB), str(seconds)], stdout=-1, text=True
            )
            told, _ = process.communicate(timeout=seconds + 60)
            burned_s = float(told)
            counted_s = job.usage_s()
            job.remove()
            wait_until(lambda: _gone(job_url))
        found = get(job_url)[1]
    assert counted_s == pytest.approx(burned_s, rel=0.03)
    assert found["cpu_seconds"] == pytest.approx(counted_s, rel=0.03)
    assert found["max_memory_used_bytes"] == pytest.approx(HELD_MIB << 20, rel=0.05)


def _gone(job_url: str) -> bool:
    return all("gone_at" in node for node in get(job_url)[1]["per_node"])
