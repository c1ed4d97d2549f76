"""The list of collectors is whole, and what they give has a place in the service."""

from __future__ import annotations

import contextlib
from pathlib import Path

import nodeagent.collectors
from nodeagent.collector import NoData, Values
from nodeagent.collectors import COLLECTOR_NAMES, JOB_COLLECTORS, NODE_COLLECTORS
from tests.unit.nodeagent.conftest import Machine
from tsobs.columns import TABLES, Kind


def test_every_file_is_a_collector_in_the_list() -> None:
    folder = Path(nodeagent.collectors.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    # GPUs are read by a process of its own: nodeagent/gpu.
    assert files | {"gpu"} == set(COLLECTOR_NAMES)
    assert len(COLLECTOR_NAMES) == len(JOB_COLLECTORS) + len(NODE_COLLECTORS) + 1


def columns(table: str, kind: Kind) -> set[str]:
    return {column.name for column in TABLES[table].columns if column.kind is kind}


def test_what_is_read_are_columns_of_the_service(machine: Machine) -> None:
    machine.replay("v1-oom-t1")
    machine.replay("v2-batch-t1")
    inner = "slurm_n1/uid_1001/job_42"
    controllers = ("cpuacct", "cpu", "memory", "cpuset", "freezer", "pids", "blkio")
    jobs = [
        machine.job(v2="system.slice/n1_slurmstepd.scope/job_1"),
        machine.job(**{name: f"{name}/{inner}" for name in controllers}),
    ]
    for collector in JOB_COLLECTORS:
        for job in jobs:
            values = Values({}, {})
            with contextlib.suppress(NoData):
                values = collector.read(job)
            counted = {key.partition(":")[2].partition("|")[0] for key in values.counters}
            deltas: dict[str, int | None] = dict.fromkeys(counted, 0)
            if collector.derive:
                collector.derive(deltas)
            assert set(deltas) <= columns("job_sample", Kind.DELTA)
            gauges = {name for name in values.gauges if not name.startswith("_")}
            assert gauges <= columns("job_sample", Kind.GAUGE)
    for node_collector in NODE_COLLECTORS:
        values = node_collector.read(machine.paths)
        counted = {key.partition(":")[2].partition("|")[0] for key in values.counters}
        assert counted <= columns("node_sample", Kind.DELTA)
        assert set(values.gauges) <= columns("node_sample", Kind.GAUGE)
