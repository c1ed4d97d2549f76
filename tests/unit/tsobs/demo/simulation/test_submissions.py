from __future__ import annotations

import pytest

from tsobs.demo.simulation.cluster import make_nodes
from tsobs.demo.simulation.job import Job
from tsobs.demo.simulation.submissions import Submissions

NODES = make_nodes(20)


def drawn(seed: int = 1, count: int = 20) -> list[Job]:
    users = Submissions(NODES, seed)
    return [
        job
        for stream in range(len(users.partitions))
        for number in range(count)
        for job in users.submit(stream, number, 5_000, 100)
    ]


def test_the_same_seed_draws_the_same_jobs() -> None:
    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_no_job_runs_longer_than_it_may() -> None:
    for job in drawn():
        assert 0 < job.run_s <= job.time_limit_s
        assert (job.fate == "timeout") == (job.run_s == job.time_limit_s)


def test_an_ending_has_its_exit() -> None:
    exits = {job.fate: (job.exit_code, job.signal) for job in drawn() if job.fate != "failed"}
    assert exits == {
        "completed": (0, 0),
        "out_of_memory": (0, 9),
        "timeout": (0, 15),
        "cancelled": (0, 15),
    }
    assert all(job.exit_code or job.signal for job in drawn() if job.fate == "failed")


def test_tasks_of_an_array_belong_together() -> None:
    arrays = [job for job in drawn() if job.array_job_id is not None]
    assert arrays
    for job in arrays:
        assert job.array_job_id is not None
        assert job.array_task_id is not None
        assert job.job_id == job.array_job_id + job.array_task_id


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_a_small_cluster_gets_jobs_that_fit_it(count: int) -> None:
    nodes = make_nodes(count)
    users = Submissions(nodes, 1)
    assert users.partitions
    for stream, partition in enumerate(users.partitions):
        there = [node for node in nodes if node.partition == partition]
        for number in range(20):
            for job in users.submit(stream, number, 0, 1):
                assert job.kind.partition == partition
                assert job.nodes <= len(there)


def test_users_think_for_a_while() -> None:
    users = Submissions(NODES, 1)
    assert all(0 < users.think_s(0, number) <= 3601 for number in range(200))
    assert len({users.first_wake_s(stream) for stream in range(30)}) > 20
