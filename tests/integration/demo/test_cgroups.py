"""The demo's cgroups in the real kernel."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from nodeagent.paths import Paths
from nodeagent.slurm_jobs import SlurmTrees
from tsobs.demo.cgroups import ROOT, JobCgroup, remove_jobs, tops

pytestmark = pytest.mark.root

LABEL = f"tsobs-demo-test-{os.getpid()}"
LIMIT_BYTES = 64 << 20
MOUNTS = {"v1": ROOT, "v2": ROOT if (ROOT / "cgroup.controllers").exists() else ROOT / "unified"}


@pytest.fixture(params=["v1", "v2"])
def places(request: pytest.FixtureRequest) -> Iterator[Mapping[str, Path]]:
    """Where jobs are kept on each version that this host has."""
    found = tops(LABEL, MOUNTS[request.param])
    if ("v2" in found) != (request.param == "v2") or not found:
        pytest.skip(f"no cgroup {request.param} here")
    yield found
    remove_jobs(found)


def test_a_process_lives_in_it_the_agent_sees_it_and_it_goes(places: Mapping[str, Path]) -> None:
    job = JobCgroup(places, 4711, 0)
    job.make(memory_bytes=LIMIT_BYTES)
    with subprocess.Popen(["/bin/sleep", "100"]) as process:
        for folder in job.folders:
            (folder / "cgroup.procs").write_text(str(process.pid))
        trees = SlurmTrees(Paths(ROOT, Path("/proc"), Path("/sys"), Path("/etc")))
        trees.refresh()
        assert LABEL in trees.nodes()
        seen = trees.jobs(lambda name: name == LABEL)
        assert set(seen) == {"4711"}
        assert set(seen["4711"].dirs) == set(places)
        remove_jobs(places)
        assert process.wait(5) < 0
    assert not any(top.exists() for top in places.values())


def test_it_has_one_cpu_and_a_limit(places: Mapping[str, Path]) -> None:
    JobCgroup(places, 1, 0).make(memory_bytes=LIMIT_BYTES)
    if "cpuset" in places:
        assert (places["cpuset"] / "uid_0/job_1/cpuset.cpus").read_text().strip().isdigit()
    if "memory" in places:
        limit = (places["memory"] / "uid_0/job_1/memory.limit_in_bytes").read_text()
        assert int(limit) == LIMIT_BYTES
