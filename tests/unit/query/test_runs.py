"""Runs of a job that have the same labels are one series."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from query.runs import merge_runs
from tests.unit.query.columns import table

COUNTERS = ("energy_j", "busy_s", "known_s")


def gpu_row(job_key: int, *, started_s: float = 0.0, **values: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"job_key": job_key, "started_s": started_s}
    row |= {"cluster": "alpha", "job_id": "1", "node": "n1", "gpu": "GPU-1", "vendor": "nvidia"}
    row |= {"power_w": None, "known_s": None, "busy_s": None, "energy_j": None}
    return row | values


def merged(*rows: dict[str, Any], ended: tuple[dict[str, Any], ...] = ()) -> dict[str, float]:
    """The numbers of the one series that the rows make."""
    totals = table(ended) if ended else None
    found = merge_runs("job_gpu", table(rows), COUNTERS, totals)
    assert found.rows == 1
    return {name: column[0] for name, column in found.numbers.items()}


def test_rows_with_other_labels_stay_as_they_are() -> None:
    rows = table([gpu_row(1), gpu_row(2, gpu="GPU-2")])
    assert merge_runs("job_gpu", rows, COUNTERS) is rows
    other = table([gpu_row(3, gpu="GPU-3", energy_j=1.0)])
    assert merge_runs("job_gpu", rows, COUNTERS, other) is rows


def test_nothing_stays_nothing() -> None:
    empty = table([gpu_row(1)]).keep(np.array([False]))
    assert merge_runs("job_gpu", empty, COUNTERS, table([gpu_row(1)])) is empty


def test_gauges_are_those_of_the_newest_run_and_counters_of_all() -> None:
    old = gpu_row(2, power_w=100.0, energy_j=5.0, busy_s=1.0)
    found = merged(old, gpu_row(1, started_s=3600.0, energy_j=7.0))
    assert math.isnan(found["power_w"])
    assert (found["energy_j"], found["busy_s"]) == (12.0, 1.0)
    assert math.isnan(found["known_s"])


def test_the_later_key_is_newer_where_the_starts_are_equal() -> None:
    assert merged(gpu_row(2, power_w=2.0), gpu_row(1, power_w=1.0))["power_w"] == 2.0


def test_ended_runs_stay_in_the_counters_only() -> None:
    ended = (gpu_row(1, energy_j=5.0, power_w=100.0), gpu_row(9, gpu="GPU-2", energy_j=1.0))
    found = merged(gpu_row(2), ended=ended)
    assert found["energy_j"] == 5.0
    assert math.isnan(found["power_w"])


def test_a_living_run_is_not_counted_twice() -> None:
    alive = (gpu_row(1, energy_j=5.0), gpu_row(2, energy_j=7.0))
    assert merged(*alive, ended=(*alive, gpu_row(3, energy_j=1.0)))["energy_j"] == 13.0


def test_texts_are_those_of_the_newest_run() -> None:
    rows = table([gpu_row(1, started_s=5.0, model="new"), gpu_row(2, model="old")])
    assert merge_runs("job_gpu", rows).texts["model"] == ["new"]


def test_others_beside_a_merged_one_keep_their_place_and_values() -> None:
    rows = [gpu_row(n, gpu=f"GPU-{n % 3}", energy_j=float(n)) for n in range(5)]
    found = merge_runs("job_gpu", table(rows), COUNTERS)
    assert list(found.texts["gpu"]) == ["GPU-0", "GPU-1", "GPU-2"]
    assert found.numbers["energy_j"].tolist() == [3.0, 5.0, 2.0]


def test_a_sum_does_not_depend_on_the_order_of_the_rows() -> None:
    """Nor on which of the runs is alive: a sum that fell by its rounding would be a reset."""
    rows = [gpu_row(n, energy_j=value) for n, value in enumerate((0.1, 0.2, 0.3, 1e16, 3.3))]
    sums = set()
    for order in itertools.permutations(rows):
        for living in (1, 3, 5):
            sums.add(merged(*order[:living], ended=order[living:])["energy_j"])
    assert len(sums) == 1
