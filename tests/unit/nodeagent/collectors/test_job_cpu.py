"""CPU time of a job: v1's exact total split by its samples, v2 as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeagent.collector import NoData
from nodeagent.collectors.job_cpu import COLLECTOR, parse_cpu_stat, parse_cpuacct, split_usage
from tests.unit.nodeagent.conftest import Machine


def test_v1_reads_the_exact_total_and_the_sampled_parts() -> None:
    assert parse_cpuacct("1069284421\n", "user 98\nsystem 8\n") == {
        "_cpu_usage_s": 1_069_284_421,
        "_cpu_user_s": 980_000_000,
        "_cpu_system_s": 80_000_000,
    }


@given(st.integers(0, 10**15), st.integers(0, 10**15), st.integers(0, 10**15))
def test_the_split_keeps_the_total(usage: int, user: int, system: int) -> None:
    deltas: dict[str, int | None] = {
        "_cpu_usage_s": usage,
        "_cpu_user_s": user,
        "_cpu_system_s": system,
    }
    split_usage(deltas)
    assert set(deltas) == {"cpu_user_s", "cpu_system_s"}
    in_user, in_system = deltas["cpu_user_s"], deltas["cpu_system_s"]
    assert in_user is not None
    assert in_system is not None
    assert in_user + in_system == usage
    assert min(in_user, in_system) >= 0


def test_an_unknown_part_makes_both_unknown_and_v2_is_left_alone() -> None:
    deltas: dict[str, int | None] = {"_cpu_usage_s": 5, "_cpu_user_s": None, "_cpu_system_s": 1}
    split_usage(deltas)
    assert deltas == {"cpu_user_s": None, "cpu_system_s": None}
    already: dict[str, int | None] = {"cpu_user_s": 1}
    split_usage(already)
    assert already == {"cpu_user_s": 1}


def test_v2_throttling_only_where_the_controller_is_on() -> None:
    text = "usage_usec 30\nuser_usec 20\nsystem_usec 10\n"
    assert parse_cpu_stat(text) == {"cpu_user_s": 20_000, "cpu_system_s": 10_000}
    assert parse_cpu_stat(text + "throttled_usec 5\n")["cpu_throttled_s"] == 5_000


def test_recorded_jobs(machine: Machine) -> None:
    machine.replay("v1-oom-t1")
    v1 = "slurm_n1/uid_1001/job_42"
    job = machine.job(cpuacct=f"cpuacct/{v1}", cpu=f"cpu/{v1}")
    assert COLLECTOR.read(job).counters["cpuacct:_cpu_usage_s"] == 5_784_004_688
    assert COLLECTOR.read(job).counters["cpu:cpu_throttled_s"] == 0


def test_without_cpu_accounting_there_is_no_data(machine: Machine) -> None:
    machine.write("sys/fs/cgroup/memory/job/x", "")
    with pytest.raises(NoData):
        COLLECTOR.read(machine.job(memory="memory/job"))
