from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tests.unit.tsobs.demo.simulation.making import START, make_run
from tsobs.columns import TABLES
from tsobs.demo.simulation.job import Run
from tsobs.demo.simulation.jobrows import Columns, JobRows, job_rows
from tsobs.demo.simulation.kinds import KINDS
from tsobs.demo.simulation.window import Times

DELTAS = [c.name for c in TABLES["job_sample"].columns if c.kind.value == "delta"]


def rows(run: Run, cuts: list[int], step_s: int = 60) -> list[JobRows]:
    """The rows of a run's first node, window by window."""
    found = [job_rows(run, 0, low, high, step_s) for low, high in pairwise(cuts)]
    return [one for one in found if one is not None]


def joined(parts: list[JobRows]) -> Columns:
    return {
        name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns
    }


def whole(run: Run, step_s: int = 60) -> Columns:
    return joined(rows(run, [0, 100_000], step_s))


@pytest.mark.parametrize("cuts", [[0, 100_000], [960, 1020, 1500, 2700, 3600], [990, 1005, 2805]])
def test_the_rows_tile_the_life_of_the_job(cuts: list[int]) -> None:
    columns = joined(rows(make_run(run_s=1800), cuts))
    assert columns["interval_s"].sum() == 1800
    assert columns["time"][-1] == START + 1800
    np.testing.assert_array_equal(
        columns["time"], START + np.cumsum(columns["interval_s"]), strict=False
    )


def test_windows_do_not_change_what_is_sampled_on_the_grid() -> None:
    run = make_run("align-reads", run_s=2000)
    one, many = whole(run), joined(rows(run, [960, 1500, 2040, 2700, 3060]))
    for name in one:
        np.testing.assert_array_equal(one[name], many[name], err_msg=name)


def test_outside_of_its_life_there_is_nothing() -> None:
    run = make_run(run_s=600)
    assert job_rows(run, 0, 0, START, 60) is None
    assert job_rows(run, 0, START + 600, 10_000, 60) is None


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_sampled_is_possible(kind: str) -> None:
    columns = whole(make_run(kind, salt=9))
    assert set(columns) <= {c.name for c in TABLES["job_sample"].columns} | {"time", "interval_s"}
    for name, values in columns.items():
        assert np.isfinite(values).all(), name
        assert (values >= 0).all(), name
    cpu_s = columns["cpu_user_s"] + columns["cpu_system_s"]
    assert (cpu_s <= columns["cpus_allocated"] * columns["interval_s"] + 0.01).all()
    used, limit = columns["memory_used_bytes"], columns["memory_limit_bytes"]
    assert (used <= limit).all()
    np.testing.assert_array_equal(columns["memory_rss_bytes"] + columns["memory_cache_bytes"], used)


def rate(columns: Columns, name: str) -> float:
    return float(columns[name].sum() / columns["interval_s"].sum())


@pytest.mark.parametrize("kind", ["monte-carlo", "align-reads", "assemble-genome"])
@pytest.mark.parametrize("name", ["cpu_user_s", "io_read_bytes", "energy_j"])
def test_coarse_and_fine_samples_add_up_to_the_same(kind: str, name: str) -> None:
    run = make_run(kind, run_s=7000)
    assert rate(whole(run, 60), name) == pytest.approx(rate(whole(run, 15), name), rel=0.03)


def is_rising(values: Times) -> bool:
    return bool((np.diff(values) >= 0).all())


@pytest.mark.parametrize("kind", ["monte-carlo", "jupyter", "train-llm"])
def test_a_peak_never_falls_however_time_is_cut(kind: str) -> None:
    run = make_run(kind, run_s=1807)
    mixed = joined(rows(run, [960, 1200], 60) + rows(run, list(range(1200, 3000, 15)), 15))
    assert is_rising(mixed["memory_peak_bytes"])
    assert (mixed["memory_peak_bytes"] >= mixed["memory_used_bytes"]).all()


def test_one_process_is_killed_when_memory_runs_out() -> None:
    columns = whole(make_run("assemble-genome", fate="out_of_memory"))
    assert columns["oom_kills"].tolist() == [0] * (len(columns["time"]) - 1) + [1]
    assert columns["memory_used_bytes"][-1] == columns["memory_limit_bytes"][-1]
    assert columns["memory_limit_hits"].sum() > 0
    assert columns["memory_pressure_some_s"].sum() > 0


def test_nobody_is_killed_before_the_end_or_on_another_node_or_without_reason() -> None:
    run = make_run("assemble-genome", fate="out_of_memory", nodes=2)
    before = job_rows(run, 0, 0, run.end_at - 10, 60)
    second = job_rows(run, 1, 0, 100_000, 60)
    assert before is not None
    assert second is not None
    assert not before.columns["oom_kills"].any()
    assert not second.columns["oom_kills"].any()
    assert not whole(make_run())["oom_kills"].any()
    assert not whole(make_run())["memory_limit_hits"].any()


def test_all_deltas_of_a_job_are_there() -> None:
    assert set(DELTAS) <= set(whole(make_run()))


def test_only_jobs_on_several_nodes_talk_over_the_network() -> None:
    talking = job_rows(make_run("cfd-wing", nodes=2), 0, 0, 9_000, 60)
    silent = job_rows(make_run(), 0, 0, 9_000, 60)
    assert talking is not None
    assert silent is not None
    assert talking.network_bytes.min() > 0
    assert not silent.network_bytes.any()
