"""Rows of GPUs: deltas, whose they are, and nothing twice."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from nodeagent.counters import Base
from nodeagent.gpu.device import Device, Survey
from nodeagent.gpu.reader import GpuReader
from nodeagent.gpu.readings import GpuBatch, GpuReadings
from nodeagent.live_job import LiveJob
from tests.unit.nodeagent.conftest import Machine

BOOT, WALL = 1000.0, 1_795_257_300.0
Look = Callable[..., Survey]


@pytest.fixture
def readings(machine: Machine, tmp_path: Path) -> GpuReadings:
    return GpuReadings(machine.paths, GpuReader(machine.paths, None), [tmp_path / "gpustat"])


def device(n: int, *, minor: int | None = None, **values: float) -> Device:
    counters = {name: int(value) for name, value in values.items() if not name.endswith("ratio")}
    gauges = {name: value for name, value in values.items() if name.endswith("ratio")}
    found = Device(f"GPU-0000000{n}", "nvidia", "H100", None, n if minor is None else minor, n, 8e9)
    return found._replace(counters=counters, gauges=gauges)


def look(after_s: float, *devices: Device) -> Survey:
    return Survey(BOOT + after_s, WALL + after_s, devices, ("NVML",))


def job(machine: Machine, key: str, **variables: str) -> LiveJob:
    made = LiveJob(key, machine.job(), Base("zero", {}, {}, BOOT, WALL), WALL)
    made.job_id = key
    made.gpu_variables = variables
    return made


def jobs(*made: LiveJob) -> dict[str, LiveJob]:
    return {each.key: each for each in made}


def of(batch: GpuBatch) -> dict[tuple[str, str | None], float]:
    """(UUID, job) → share."""
    return {(batch.gpus[row["gpu"]]["uuid"], row["job"]): row["share"] for row in batch.rows}


def test_the_first_look_has_no_deltas_the_second_has(readings: GpuReadings) -> None:
    first = readings.take(look(0, device(0, energy_j=5000, utilization_ratio=0.5)), {}, 15)
    (row,) = first.rows
    assert row == {
        "time": WALL, "gpu": 0, "job": None, "share": 1.0, "interval_s": 1.0,
        "utilization_ratio": 0.5,
    }  # fmt: skip
    assert first.gpus == [
        {
            "uuid": "GPU-00000000", "vendor": "nvidia", "model": "H100", "parent_uuid": None,
            "memory_total_bytes": 8e9,
        }
    ]  # fmt: skip
    readings.keep(first, {})
    second = readings.take(look(15, device(0, energy_j=12_500)), {}, 15)
    assert (second.rows[0]["energy_j"], second.rows[0]["interval_s"]) == (7.5, 15.0)


def test_what_was_not_kept_is_counted_again(readings: GpuReadings) -> None:
    readings.keep(readings.take(look(0, device(0, energy_j=0)), {}, 15), {})
    readings.take(look(15, device(0, energy_j=1000)), {}, 15)
    row = readings.take(look(30, device(0, energy_j=3000)), {}, 15).rows[0]
    assert (row["energy_j"], row["interval_s"]) == (3.0, 30.0)


def test_counters_that_went_back_or_are_new_are_unknown(readings: GpuReadings) -> None:
    before = device(0, energy_j=9000)._replace(counters={"energy_j": 9000, "xid_errors|1.1": 4})
    readings.keep(readings.take(look(0, before), {}, 15), {})
    after = before._replace(
        counters={"energy_j": 10, "xid_errors|2.1": 1, "ecc_corrected_errors": 3}
    )
    row = readings.take(look(15, after), {}, 15).rows[0]
    assert not {"energy_j", "xid_errors", "ecc_corrected_errors"} & row.keys()
    same = before._replace(counters={"energy_j": 9000, "xid_errors|1.1": 6})
    assert readings.take(look(15, same), {}, 15).rows[0]["xid_errors"] == 2


def test_parts_add_up_and_seconds_are_seconds(readings: GpuReadings) -> None:
    def throttled(limit: int, brake: int) -> Device:
        parts = {"throttled_power_s|limit": limit, "throttled_power_s|brake": brake}
        return device(0)._replace(counters=parts)

    readings.keep(readings.take(look(0, throttled(0, 5)), {}, 15), {})
    row = readings.take(look(15, throttled(2_000_000_000, 500_000_005)), {}, 15).rows[0]
    assert row["throttled_power_s"] == 2.5


def test_a_device_that_did_not_answer_adds_up(readings: GpuReadings) -> None:
    both = (device(0, energy_j=0), device(1, energy_j=0))
    readings.keep(readings.take(look(0, *both), {}, 15), {})
    readings.keep(readings.take(look(15, device(1, energy_j=1000)), {}, 15), {})
    batch = readings.take(look(30, device(0, energy_j=4000), device(1, energy_j=2000)), {}, 15)
    assert [(row["energy_j"], row["interval_s"]) for row in batch.rows] == [
        (4.0, 30.0),
        (1.0, 15.0),
    ]


def test_bases_survive_a_restart(readings: GpuReadings, machine: Machine) -> None:
    batch = readings.take(look(0, device(0, energy_j=5000)), {}, 15)
    stored = json.loads(json.dumps(readings.document(batch)))
    again = GpuReadings(machine.paths, GpuReader(machine.paths, None), [])
    again.restore(stored)
    row = again.take(look(20, device(0, energy_j=6000)), {}, 15).rows[0]
    assert (row["energy_j"], row["interval_s"]) == (1.0, 20.0)
    again.restore(None)


def test_an_allocated_idle_gpu_is_its_jobs(readings: GpuReadings, machine: Machine) -> None:
    live = jobs(job(machine, "7", SLURM_JOB_GPUS="1"))
    batch = readings.take(look(0, device(0), device(1, utilization_ratio=0.0)), live, 15)
    assert of(batch) == {("GPU-00000000", None): 1.0, ("GPU-00000001", "7"): 1.0}
    assert batch.jobs["7"]["job_id"] == "7"


def test_shares_and_totals(readings: GpuReadings, machine: Machine) -> None:
    mps = "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"
    live = jobs(
        job(machine, "1", SLURM_JOB_GPUS="0", **{mps: "50"}),
        job(machine, "2", SLURM_JOB_GPUS="0", **{mps: "20"}),
        job(machine, "3", SLURM_JOB_GPUS="1", SLURM_SHARDS_ON_NODE="1"),
        job(machine, "4", SLURM_JOB_GPUS="1", SLURM_SHARDS_ON_NODE="3"),
    )
    readings.keep(
        readings.take(look(0, device(0, energy_j=0), device(1, energy_j=0)), live, 15), live
    )
    batch = readings.take(look(15, device(0, energy_j=9000), device(1, energy_j=100)), live, 15)
    assert of(batch) == {
        ("GPU-00000000", "1"): 0.5, ("GPU-00000000", "2"): 0.2, ("GPU-00000000", None): 0.3,
        ("GPU-00000001", "3"): 0.25, ("GPU-00000001", "4"): 0.75,
    }  # fmt: skip
    for gpu, total in ((0, 9.0), (1, 0.1)):
        rows = [row for row in batch.rows if row["gpu"] == gpu]
        assert math.fsum(row["share"] for row in rows) == 1.0
        assert math.fsum(row["energy_j"] * row["share"] for row in rows) == pytest.approx(total)


def test_an_interval_belongs_to_who_held_the_gpu_in_it(
    readings: GpuReadings, machine: Machine
) -> None:
    first, second = (job(machine, key, SLURM_JOB_GPUS="0") for key in ("1", "2"))
    readings.keep(readings.take(look(0, device(0)), {}, 15), {})
    # It had no holder: what it did since is the first's.
    batch = readings.take(look(15, device(0)), jobs(first), 15)
    assert of(batch) == {("GPU-00000000", "1"): 1.0}
    readings.keep(batch, jobs(first))
    assert readings.holds("1")
    assert not readings.holds("2")
    # The first has ended by now, and the second has begun: the interval was the first's.
    batch = readings.take(look(20, device(0)), jobs(second), 15)
    assert of(batch) == {("GPU-00000000", "1"): 1.0}
    assert batch.jobs["1"]["job_id"] == "1"
    readings.keep(batch, jobs(second))
    assert of(readings.take(look(35, device(0)), jobs(second), 15)) == {("GPU-00000000", "2"): 1.0}


def test_the_kernels_list_is_right_and_the_users_word_is_not(
    readings: GpuReadings, machine: Machine
) -> None:
    machine.write("sys/fs/cgroup/devices/slurm/uid_1/job_1/devices.list", "c 195:1 rwm\n")
    confined = job(machine, "1", SLURM_JOB_GPUS="0")
    confined.dirs = machine.job(devices="devices/slurm/uid_1/job_1")
    boasting = job(machine, "2", SLURM_JOB_GPUS="0,1")
    batch = readings.take(look(0, device(0), device(1)), jobs(confined, boasting), 15)
    assert of(batch) == {("GPU-00000000", "2"): 1.0, ("GPU-00000001", "1"): 1.0}


def test_files_of_the_prolog(readings: GpuReadings, machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "gpustat").mkdir()
    (tmp_path / "gpustat/GPU-00000001").write_text("5 1000\n")
    (tmp_path / "gpustat/GPU-00000000").write_text("99 1000\n")  # left behind
    batch = readings.take(look(0, device(0), device(1)), jobs(job(machine, "5")), 15)
    assert of(batch) == {("GPU-00000000", None): 1.0, ("GPU-00000001", "5"): 1.0}


def test_jobs_without_a_name_or_over_hold_nothing(readings: GpuReadings, machine: Machine) -> None:
    hidden, parked = (job(machine, key, SLURM_JOB_GPUS="0") for key in ("1", "2"))
    hidden.job_id = None
    parked.parked = True
    assert of(readings.take(look(0, device(0)), jobs(hidden, parked), 15)) == {
        ("GPU-00000000", None): 1.0
    }
