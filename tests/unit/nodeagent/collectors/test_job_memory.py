"""Memory by kind, limits, swap and limit hits of a job."""

from __future__ import annotations

import pytest

from nodeagent.collector import NoData
from nodeagent.collectors.job_memory import COLLECTOR, parse_limit, parse_stat_v1, parse_stat_v2
from tests.unit.nodeagent.conftest import Machine

V2 = "system.slice/n1_slurmstepd.scope/job_8"


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("max\n", None),
        ("9223372036854771712\n", None),
        ("9223372036854710272\n", None),  # 64 KiB pages
        ("62914560\n", 62_914_560),
        ("0\n", 0),
    ],
)
def test_no_limit_is_absent(text: str, limit: int | None) -> None:
    assert parse_limit(text) == limit


def test_v1_takes_the_trees_totals() -> None:
    text = "rss 1\ntotal_rss 5\ntotal_cache 6\ntotal_pgfault 7\npgfault 1\n"
    assert parse_stat_v1(text) == (
        {"page_faults": 7},
        {"memory_rss_bytes": 5, "memory_cache_bytes": 6},
    )


def test_v2_rss_is_anonymous_memory() -> None:
    text = "anon 5\nfile 6\nshmem 1\nswapcached 9\npgfault 7\npgmajfault 2\n"
    assert parse_stat_v2(text) == (
        {"page_faults": 7, "major_page_faults": 2},
        {"memory_rss_bytes": 5, "memory_cache_bytes": 6, "memory_shmem_bytes": 1},
    )


def test_a_recorded_v2_job(machine: Machine) -> None:
    machine.replay("v2-oom-t1")
    counters, gauges = COLLECTOR.read(machine.job(v2=V2))
    assert counters["v2:memory_limit_hits"] == 137
    assert gauges["memory_limit_bytes"] == 62_914_560
    assert gauges["memory_swap_bytes"] == 0
    assert gauges["memory_rss_bytes"] == 966_656


def test_a_recorded_v1_job_counts_hits_where_the_limits_are(machine: Machine) -> None:
    machine.replay("v1-oom-t1")
    counters, gauges = COLLECTOR.read(machine.job(memory="memory/slurm_n1/uid_1001/job_42"))
    hits = {key: n for key, n in counters.items() if "memory_limit_hits" in key}
    assert sum(hits.values()) == 317
    assert len(hits) == 7
    assert gauges["memory_limit_bytes"] == 96 * 1024**2
    assert gauges["memory_swap_bytes"] == 0


def test_without_swap_accounting_swap_is_absent_not_zero(machine: Machine) -> None:
    machine.replay("v1-oom-t1")
    folder = "memory/slurm_n1/uid_1001/job_42"
    (machine.paths.cgroup / folder / "memory.memsw.usage_in_bytes").unlink()
    assert "memory_swap_bytes" not in COLLECTOR.read(machine.job(memory=folder)).gauges
    machine.replay("v2-oom-t1")
    (machine.paths.cgroup / V2 / "memory.swap.current").unlink()
    assert "memory_swap_bytes" not in COLLECTOR.read(machine.job(v2=V2)).gauges


def test_no_controller_no_data(machine: Machine) -> None:
    machine.write("sys/fs/cgroup/cpuacct/job/x", "")
    with pytest.raises(NoData):
        COLLECTOR.read(machine.job(cpuacct="cpuacct/job"))
