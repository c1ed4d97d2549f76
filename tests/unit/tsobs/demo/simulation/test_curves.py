from __future__ import annotations

import random

import numpy as np
import pytest

from tests.unit.tsobs.demo.simulation.making import make_run
from tsobs.demo.simulation.curves import Curves, Wave
from tsobs.demo.simulation.kinds import KINDS

T = np.arange(0.0, 1800.0)


def curves(kind: str = "monte-carlo", *, cpus: int = 8, gpus: int = 0, salt: int = 5) -> Curves:
    return Curves(make_run(kind, cpus=cpus, gpus=gpus, salt=salt).job, 0)


def test_a_wave_is_smooth_and_stays_within_one() -> None:
    values = Wave(random.Random(3))(np.arange(0.0, 86_400.0))
    assert np.abs(values).max() <= 1
    assert np.abs(np.diff(values)).max() < 0.1
    assert values.std() > 0.2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("salt", [1, 2, 3])
def test_ratios_are_ratios(kind: str, salt: int) -> None:
    found = curves(kind, salt=salt)
    for values in (
        found.cpu_ratio(T),
        found.memory_ratio(T),
        found.cache_share(T),
        found.gpu_ratio(T),
        found.gpu_memory_ratio(T),
    ):
        assert values.min() >= 0
        assert values.max() <= 1


def test_it_does_not_matter_how_often_one_looks() -> None:
    np.testing.assert_array_equal(curves().cpu_ratio(T)[::60], curves().cpu_ratio(T[::60]))


def test_two_nodes_of_a_job_differ_a_little() -> None:
    job = make_run("cfd-wing", nodes=2).job
    first, second = Curves(job, 0).cpu_ratio(T), Curves(job, 1).cpu_ratio(T)
    assert not np.array_equal(first, second)
    assert abs(first.mean() - second.mean()) < 0.05


def test_a_steady_job_is_busy_and_a_serial_one_uses_one_cpu() -> None:
    assert curves("monte-carlo").cpu_ratio(T).mean() > 0.9
    assert curves("matlab-fit", cpus=32).cpu_ratio(T).mean() * 32 == pytest.approx(1, rel=0.1)


def test_an_idle_gpu_is_idle_and_a_training_one_is_not() -> None:
    assert not curves("preprocess-only", gpus=1).gpu_ratio(T).any()
    assert curves("train-llm", gpus=4).gpu_ratio(T[200:]).mean() > 0.85


def test_memory_that_runs_out_grows_until_the_end() -> None:
    job = make_run("assemble-genome", fate="out_of_memory").job
    values = Curves(job, 0).memory_ratio(T)
    assert values[0] < 0.3
    assert values[-1] > 0.99
    assert Curves(job, 0).memory_ratio(np.array([float(job.run_s)])) == 1


def test_other_memory_settles_below_the_limit() -> None:
    values = curves("cfd-wing").memory_ratio(T)
    assert values[0] < 0.2
    assert 0.3 < values[-600:].mean() < 0.93
