from __future__ import annotations

import numpy as np
import pytest

from tests.unit.tsobs.demo.simulation.making import START, make_run
from tsobs.columns import TABLES
from tsobs.demo.simulation.cluster import make_nodes
from tsobs.demo.simulation.gpurows import Holding, gpu_rows
from tsobs.demo.simulation.job import Run
from tsobs.demo.simulation.jobrows import Columns, JobRows, job_rows
from tsobs.demo.simulation.noderows import Loads, node_rows

[NODE] = [node for node in make_nodes(20) if node.name == "sim-gpu-01"]
SPAN = (960, 3_660, 60)
MODES = [c.name for c in TABLES["node_sample"].columns if c.name.startswith("cpu_")][:8]


def rows_of(*runs: Run) -> list[JobRows]:
    found = [job_rows(run, 0, *SPAN) for run in runs]
    return [rows for rows in found if rows is not None]


RUNS = (
    make_run("align-reads", cpus=16, run_s=1_234),
    make_run("cfd-wing", cpus=40, nodes=2, start=START + 77, run_s=9_000, job_id=8),
)


def sampled(*runs: Run, gpus: Columns | None = None) -> Columns:
    return node_rows(NODE, rows_of(*runs), gpus, Loads(), SPAN)[0]


@pytest.mark.parametrize("runs", [(), RUNS, (make_run("monte-carlo", cpus=64, run_s=9_000),)])
def test_the_time_of_the_cpus_goes_somewhere(runs: tuple[Run, ...]) -> None:
    columns = sampled(*runs)
    spent_s = np.sum([columns[name] for name in MODES], axis=0)
    np.testing.assert_allclose(spent_s, NODE.cpus * columns["interval_s"], atol=0.01)
    assert all((columns[name] >= 0).all() for name in MODES)


def test_the_node_does_what_its_jobs_do() -> None:
    columns, jobs = sampled(*RUNS), rows_of(*RUNS)
    for name in ("cpu_user_s", "cpu_system_s"):
        used_s = sum(rows.columns[name].sum() for rows in jobs)
        own_s = sampled()[name].sum()
        assert columns[name].sum() == pytest.approx(used_s + own_s, rel=1e-4)


def test_its_energy_is_the_jobs_and_the_rest() -> None:
    columns, jobs = sampled(*RUNS), rows_of(*RUNS)
    charged_j = sum(rows.columns["energy_j"].sum() for rows in jobs)
    host_j = columns["energy_package_j"].sum() + columns["energy_dram_j"].sum()
    assert charged_j + columns["energy_unattributed_j"].sum() == pytest.approx(host_j, rel=1e-4)
    assert (columns["energy_unattributed_j"] > 0).all()
    np.testing.assert_allclose(
        columns["power_w"], columns["energy_platform_j"] / columns["interval_s"], atol=0.06
    )


def test_the_power_of_the_gpus_is_in_that_of_the_machine() -> None:
    holding = Holding(make_run("train-llm", gpus=1, start=0, run_s=9_000), 0, 0)
    gpus = gpu_rows([[holding]], *SPAN)
    assert gpus is not None
    more_j = sampled(gpus=gpus)["energy_platform_j"] - sampled()["energy_platform_j"]
    assert more_j.sum() == pytest.approx(gpus["energy_j"].sum())


def test_memory_is_used_cached_or_free() -> None:
    columns = sampled(*RUNS)
    cached = columns["memory_cached_bytes"] + columns["memory_buffers_bytes"]
    np.testing.assert_array_equal(
        columns["memory_available_bytes"], columns["memory_free_bytes"] + cached
    )
    assert (columns["memory_available_bytes"] < columns["memory_total_bytes"]).all()
    alone = sampled()["memory_available_bytes"]
    after = columns["time"] >= START + 1_800
    assert (columns["memory_available_bytes"][after] < alone[after]).all()


def test_what_is_sampled_is_known_and_in_range() -> None:
    known = {column.name: column for column in TABLES["node_sample"].columns}
    columns = sampled(*RUNS)
    assert set(columns) <= set(known) | {"time", "interval_s"}
    for name in set(columns) & set(known):
        assert (columns[name] >= known[name].low).all(), name
        assert (columns[name] <= known[name].high).all(), name


def test_load_averages_go_on_where_they_were() -> None:
    jobs = rows_of(RUNS[1])
    columns, loads = node_rows(NODE, jobs, None, Loads(), SPAN)
    assert loads.load1 == pytest.approx(columns["load1"][-1], abs=0.01)
    assert columns["load1"][5] > columns["load5"][5] > columns["load15"][5] > 0
    later, _ = node_rows(NODE, jobs, None, loads, SPAN)
    assert later["load15"][0] > columns["load15"][0]


def test_a_load_average_reaches_what_runs() -> None:
    loads = Loads()
    for _ in range(1_000):
        loads = loads.after(32.0, 15.0)
    assert loads == pytest.approx((32, 32, 32), rel=1e-3)
