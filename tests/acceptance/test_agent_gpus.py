"""GPUs from the driver's library to the REST API: agent, service and database as they run."""

from __future__ import annotations

import math
import os
import signal
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.acceptance.asking import get, wait_until
from tests.fix_cgroup import SlurmJobs
from tests.fix_gpu import Standin, gpu, mig, uuid_of
from tests.processes import AgentProcess, ServiceProcess

MIG_UUID = "MIG-00000000-0000-0000-0000-000000000001"


def per_gpu(url: str, job_id: str) -> dict[str, dict[str, Any]]:
    status, job = get(f"{url}/v1/jobs/{job_id}")
    return {each["gpu_id"]: each for each in job.get("per_gpu", [])} if status == 200 else {}


def lines(*, hang: bool = False) -> list[str]:
    # The driver lists them in another order than their minor numbers, which Slurm goes by.
    return [
        *(["hang_ms 600000"] if hang else []),
        "driver 590.48.01",
        gpu(7, minor=2, util=60, mutil=1, used=1 << 30, total=1 << 36, energy_rate=100_000),
        gpu(8, minor=0, util=0, mutil=0, used=0, total=1 << 36, power=50_000, energy_rate=50_000),
        gpu(9, minor=1, mig=1, slots=7, power=300_000),
        mig(1, gi=1, ci=0, slices=3, used=1 << 20, total=1 << 30),
    ]


@pytest.mark.root
@pytest.mark.timeout(180)
async def test_gpu_numbers_of_jobs(
    database_url: str, slurm_v1_job: SlurmJobs, standin: Standin, tmp_path: Path
) -> None:
    standin.write(*lines())
    folder = tmp_path / "gpustat"
    folder.mkdir()
    (folder / MIG_UUID).write_text("770003 0\n")
    first = slurm_v1_job(job_id="770001", uid=0)
    others = [slurm_v1_job(job_id=f"77000{n}", uid=0, node=first.node) for n in (2, 3)]
    told = {
        "770001": {"SLURM_JOB_GPUS": "0,2", "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": "75"},
        "770002": {"SLURM_JOB_GPUS": "2", "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": "25"},
        "770003": {},
    }
    for job in (first, *others):
        job.add_part("step_batch/task_0")
        variables = {"SLURM_JOB_ID": job.job_id, "CUDA_VISIBLE_DEVICES": "0", **told[job.job_id]}
        job.run(["sleep", "120"], "step_batch/task_0", env={**os.environ, **variables})
    with ServiceProcess(database_url) as service:
        settings = {"node_name": first.node, "interval": 1, "nvml_library": standin.library}
        agent = AgentProcess(service.url, tmp_path / "state", gpu_job_dirs=folder, **settings)
        with agent:
            # Shares of the first interval may still be those before all were known.
            wait_until(lambda: _energy(service.url, "770002", uuid_of(7)) > 50, 60)
            await _check_jobs(service.url)
            agent.kill()
            agent.start()
            energy = _energy(service.url, "770002", uuid_of(7))
            wait_until(lambda: _energy(service.url, "770002", uuid_of(7)) > energy + 50, 60)
            standin.write(*lines(hang=True))
            _jobs_go_on_while_the_driver_hangs(service.url)
            os.kill(agent.pid, signal.SIGTERM)
    await _check_totals(database_url)


def _energy(url: str, job_id: str, uuid: str) -> float:
    return float(per_gpu(url, job_id).get(uuid, {}).get("energy_joules") or 0.0)


async def _check_jobs(url: str) -> None:
    first, second, third = (per_gpu(url, f"77000{n}") for n in (1, 2, 3))
    assert set(first) == {uuid_of(7), uuid_of(8)}
    assert set(second) == {uuid_of(7)}
    assert set(third) == {MIG_UUID}
    assert (first[uuid_of(7)]["share"], second[uuid_of(7)]["share"]) == (0.75, 0.25)
    assert first[uuid_of(7)]["gpu_usage"] == pytest.approx(60)
    # Allocated and idle is 0, not nothing.
    assert first[uuid_of(8)]["gpu_usage"] == 0
    assert "gpu_usage" not in third[MIG_UUID]
    assert third[MIG_UUID]["memory_used_bytes"] == 1 << 20


def _jobs_go_on_while_the_driver_hangs(url: str) -> None:
    def samples() -> int:
        return int(get(f"{url}/v1/jobs/770001")[1]["sample_count"])

    before, start = samples(), time.monotonic()
    wait_until(lambda: samples() >= before + 3, 15)
    assert time.monotonic() - start < 8


async def _check_totals(database_url: str) -> None:
    """Shares sum to 1 at every moment, so a device's total is its own, counted once."""
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch(
            "select gpu, time, sum(share) as whole, max(energy_j) as energy_j,"
            " sum(energy_j * share) as shared_j, max(interval_s) as interval_s"
            " from tsobs.gpu_sample group by gpu, time order by gpu, time"
        )
    finally:
        await connection.close()
    assert {row["gpu"] for row in rows} == {*map(uuid_of, (7, 8, 9)), MIG_UUID}
    assert all(math.isclose(row["whole"], 1.0, abs_tol=1e-9) for row in rows)
    measured = [row for row in rows if row["gpu"] == uuid_of(7) and row["energy_j"] is not None]
    assert len(measured) >= 3
    for row in measured:
        assert row["shared_j"] == pytest.approx(row["energy_j"])
    # 100 W by the stand-in's own clock, which is read a moment after the agent's.
    total_s = math.fsum(row["interval_s"] for row in measured)
    energy_j = math.fsum(row["energy_j"] for row in measured)
    assert energy_j == pytest.approx(100 * total_s, abs=20)
