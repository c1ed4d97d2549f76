from __future__ import annotations

import json

from tests.unit.tsobs.demo.simulation.making import make_run
from tsobs.demo.simulation.job import Run


def test_a_run_survives_json() -> None:
    run = make_run("train-llm", nodes=2, gpus=4)
    assert Run.from_json(json.loads(json.dumps(run.to_json()))) == run


def test_a_run_that_is_cut_short_ends_then_and_for_that_reason() -> None:
    run = make_run(run_s=3600).cut_short(1_060, "node_fail")
    assert run.end_at == 1_060
    assert run.job.fate == "node_fail"


def test_a_job_knows_its_kind() -> None:
    assert make_run("ci-build").job.kind.partition == "batch"
