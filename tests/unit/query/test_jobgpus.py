from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from query.jobgpus import gpu_use, still_sampled
from query.table import Table
from tests.unit.query.columns import table


def gpus(*intervals_s: float | None) -> Table:
    """GPUs 9, 8, 7, … with these intervals, in no order of their ids."""
    rows = [{"gpu_id": 9 - n, "interval_s": value} for n, value in enumerate(intervals_s)]
    return table(rows)


def held(*rows: dict[str, Any]) -> Table:
    whole = {"job_key": 1, "node": "n1", "started_s": 5.0, "share": 1.0}
    whole |= {"utilization_ratio": 0.5, "is_waiting": 0.0, "age_s": 1.0}
    return table([whole | row for row in rows])


@pytest.mark.parametrize(
    ("interval_s", "age_s", "alive"),
    [(15.0, 44.0, True), (15.0, 46.0, False), (86400.0, 899.0, True), (86400.0, 901.0, False),
     (None, 901.0, False)],
)  # fmt: skip
def test_three_intervals_of_at_most_five_minutes(
    interval_s: float | None, age_s: float, alive: bool
) -> None:
    row = held({"gpu_id": 8, "age_s": age_s})
    assert still_sampled(row, gpus(1.0, interval_s, 1.0)).rows == alive


def test_a_gpu_that_is_not_alive_has_no_rows() -> None:
    rows = held({"gpu_id": 1}, {"gpu_id": 9}, {"gpu_id": 10})
    assert still_sampled(rows, gpus(15.0)).numbers["gpu_id"].tolist() == [9]
    assert not still_sampled(rows, gpus(15.0).keep(np.array([False]))).rows
    nothing = rows.keep(np.zeros(3, dtype=bool))
    assert not still_sampled(nothing, gpus(15.0)).rows


def test_use_is_weighted_by_share_over_what_is_known() -> None:
    rows = held(
        {"utilization_ratio": 0.9},
        {"share": 0.5, "utilization_ratio": 0.3},
        {"utilization_ratio": None},
        {"node": "n2", "utilization_ratio": None},
        {"job_key": 2, "share": 0.0},
    )
    used = gpu_use(rows)
    assert list(used.texts["node"]) == ["n1", "n2", "n1"]
    assert used.numbers["job_key"].tolist() == [1, 1, 2]
    first, second, third = used.numbers["utilization_ratio"]
    assert first == pytest.approx(1.05 / 1.5)
    assert math.isnan(second)
    assert math.isnan(third)


def test_a_job_waits_as_long_as_all_its_gpus_do() -> None:
    rows = held({"is_waiting": 1.0}, {"is_waiting": 0.0}, {"job_key": 2, "is_waiting": 1.0})
    assert gpu_use(rows).numbers["is_waiting"].tolist() == [0.0, 1.0]


def test_no_rows_have_no_use() -> None:
    assert gpu_use(held({}).keep(np.array([False]))).rows == 0
