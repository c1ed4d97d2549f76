"""OOM kills: hierarchical on v2, added up over the tree on v1."""

from __future__ import annotations

import pytest

from nodeagent.collector import NoData
from nodeagent.collectors.job_oom import COLLECTOR, parse_kills
from tests.unit.nodeagent.conftest import Machine


@pytest.mark.parametrize(
    ("text", "kills"),
    [
        ("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", 3),
        ("low 0\nhigh 0\nmax 137\noom 1\noom_kill 1\noom_group_kill 0\n", 1),
        ("max 0\noom 0\noom_kill 0\noom_group_kill 0\nsock_throttled 7\n", 0),
    ],
)
def test_the_line_is_found_among_others(text: str, kills: int) -> None:
    assert parse_kills(text) == kills


def test_an_old_kernel_does_not_count() -> None:
    with pytest.raises(NoData):
        parse_kills("oom_kill_disable 0\nunder_oom 0\n")


def test_v1_finds_the_kill_in_the_task_that_the_job_does_not_show(machine: Machine) -> None:
    machine.replay("v1-oom-t1")
    folder = "memory/slurm_n1/uid_1001/job_42"
    assert "oom_kill 0" in (machine.paths.cgroup / folder / "memory.oom_control").read_text()
    counters, gauges = COLLECTOR.read(machine.job(memory=folder))
    assert sum(counters.values()) == 1
    (key,) = [key for key, kills in counters.items() if kills]
    assert key.startswith("memory:oom_kills|step_0/task_0#")
    assert gauges == {"_oom_killed": 1.0}


def test_v2(machine: Machine) -> None:
    folder = "system.slice/n1_slurmstepd.scope/job_8"
    machine.replay("v2-oom-t0")
    assert COLLECTOR.read(machine.job(v2=folder)) == ({"v2:oom_kills": 0}, {"_oom_killed": 0.0})
    machine.replay("v2-oom-t1")
    assert COLLECTOR.read(machine.job(v2=folder)) == ({"v2:oom_kills": 1}, {"_oom_killed": 1.0})
