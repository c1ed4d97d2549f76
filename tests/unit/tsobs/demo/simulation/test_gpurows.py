from __future__ import annotations

import numpy as np

from tests.unit.tsobs.demo.simulation.making import START, make_run
from tsobs.columns import TABLES
from tsobs.demo.simulation.gpurows import Holding, gpu_rows
from tsobs.demo.simulation.jobrows import Columns

FIRST = Holding(make_run("train-vision", gpus=1, start=START, run_s=777), 0, 0)
SECOND = Holding(make_run("train-vision", gpus=1, start=START + 777, run_s=5_000, job_id=8), 0, 1)
IDLE = Holding(make_run("preprocess-only", gpus=1, start=0, run_s=9_000, job_id=9), 0, 2)


def rows(low: int = 900, high: int = 3_600) -> Columns:
    found = gpu_rows([[SECOND, FIRST], [IDLE], []], low, high, 60)
    assert found is not None
    return found


def of_gpu(gpu: int) -> Columns:
    columns = rows()
    return {name: values[columns["gpu"] == gpu] for name, values in columns.items()}


def test_a_node_without_gpus_has_no_rows() -> None:
    assert gpu_rows([], 0, 60, 60) is None


def test_the_rows_of_each_gpu_tile_the_span() -> None:
    for gpu in range(3):
        columns = of_gpu(gpu)
        np.testing.assert_array_equal(columns["time"], 900 + np.cumsum(columns["interval_s"]))
        assert columns["interval_s"].sum() == 2_700
        assert (columns["share"] == 1).all()


def test_a_gpu_is_its_jobs_to_the_second() -> None:
    columns = of_gpu(0)
    held_s = {
        job: columns["interval_s"][columns["job"] == job].sum() for job in (FIRST.job, SECOND.job)
    }
    assert held_s == {0: 777, 1: 3_600 - START - 777}
    assert columns["interval_s"][np.isnan(columns["job"])].sum() == START - 900


def test_who_idles_a_gpu_can_be_seen() -> None:
    idle, free = of_gpu(1), of_gpu(2)
    assert (idle["job"] == IDLE.job).all()
    assert not idle["utilization_ratio"].any()
    assert (idle["memory_used_bytes"] > 0).all()
    assert np.isnan(free["job"]).all()
    assert not free["memory_used_bytes"].any()
    assert of_gpu(0)["utilization_ratio"].max() > 0.8


def test_what_is_sampled_is_possible() -> None:
    columns = rows()
    known = {column.name: column for column in TABLES["gpu_sample"].columns}
    for name, values in columns.items():
        if name in known:
            assert (values >= known[name].low).all(), name
            assert (values <= known[name].high).all(), name
    assert (columns["memory_used_bytes"] <= columns["memory_total_bytes"]).all()
    assert (columns["power_w"] <= columns["power_limit_w"]).all()
    np.testing.assert_allclose(columns["energy_j"], columns["power_w"] * columns["interval_s"])
