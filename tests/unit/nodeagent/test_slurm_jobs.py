"""Where Slurm puts its jobs: v1, v2, hybrid, several nodes, and what is no job."""

from __future__ import annotations

import pytest

from nodeagent.slurm_jobs import FoundJob, SlurmTrees, is_sluid, scope_node, top_node
from tests.unit.nodeagent.conftest import Machine


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("slurmstepd.scope", (True, None)),
        ("n1_slurmstepd.scope", (True, "n1")),
        ("gpu-1.example.org_slurmstepd.scope", (True, "gpu-1.example.org")),
        ("a_b_slurmstepd.scope", (True, "a_b")),
        ("slurmstepd.scope.d", (False, None)),
        ("xslurmstepd.scope", (False, None)),
    ],
)
def test_scopes(name: str, found: tuple[bool, str | None]) -> None:
    assert scope_node(name) == found


@pytest.mark.parametrize(
    ("name", "found"),
    [("slurm", (True, None)), ("slurm_n-1.x", (True, "n-1.x")), ("slurmd", (False, None))],
)
def test_tops(name: str, found: tuple[bool, str | None]) -> None:
    assert top_node(name) == found


@pytest.mark.parametrize(
    ("name", "found"), [("s0KNM7YTPABM00", True), ("system", False), ("s0KNM7YTPABM0", False)]
)
def test_sluids(name: str, found: bool) -> None:
    assert is_sluid(name) is found


def look(machine: Machine, node: str | None = None) -> dict[str, FoundJob]:
    trees = SlurmTrees(machine.paths)
    trees.refresh()
    return trees.jobs(lambda name: node is None or name == node)


def test_v2(machine: Machine) -> None:
    machine.replay("v2-oom-t0")
    jobs = look(machine)
    assert sorted(jobs) == ["1", "8"]
    assert jobs["8"].uid is None
    assert jobs["8"].dirs["v2"].path.endswith("n1_slurmstepd.scope/job_8")


def test_v1(machine: Machine) -> None:
    machine.replay("v1-oom-t0")
    (job,) = look(machine).values()
    assert (job.job_id, job.uid) == ("42", 1001)
    assert sorted(job.dirs) == ["blkio", "cpu", "cpuacct", "cpuset", "freezer", "memory", "pids"]


def test_controllers_mounted_together_are_found_once(machine: Machine) -> None:
    machine.write("sys/fs/cgroup/cpu,cpuacct/slurm/uid_5/job_3/cpuacct.usage", "1")
    (machine.paths.cgroup / "cpuacct").symlink_to("cpu,cpuacct")
    (job,) = look(machine).values()
    assert job.dirs["cpu"] == job.dirs["cpuacct"]
    assert "cpu,cpuacct" in job.dirs["cpu"].path


def test_hybrid_finds_both(machine: Machine) -> None:
    machine.write("sys/fs/cgroup/unified/cgroup.controllers", "")
    machine.write("sys/fs/cgroup/unified/a.slice/a-b.slice/slurmstepd.scope/job_3/cpu.stat", "")
    machine.write("sys/fs/cgroup/memory/slurm/uid_5/job_3/memory.stat", "")
    (job,) = look(machine).values()
    assert sorted(job.dirs) == ["memory", "v2"]


def test_two_nodes_on_one_machine(machine: Machine) -> None:
    machine.replay("v2-twonode-t0")
    trees = SlurmTrees(machine.paths)
    trees.refresh()
    assert trees.nodes() == {"n1", "n2"}
    assert trees.any(lambda name: name == "n2")
    assert not trees.any(lambda name: name == "n3")
    assert list(trees.jobs(lambda name: name == "n2")) == ["5"]
    assert sorted(look(machine, "n1")) == ["1", "5"]


@pytest.mark.parametrize("name", ["v2-sluid-t0", "v2-sluid-nocontain-t0", "v2-sluid-steps-t0"])
def test_a_sluid_is_a_job_whose_id_is_not_in_the_path(name: str, machine: Machine) -> None:
    (job,) = look(machine.replay(name)).values()
    assert is_sluid(job.key)
    assert job.job_id is None
    assert job.dirs["v2"].path.endswith(f"n1_slurmstepd.scope/{job.key}")


def test_26_05_with_ids_in_its_paths_is_as_before(machine: Machine) -> None:
    (job,) = look(machine.replay("v2-jobidpaths-t0")).values()
    assert job.key == job.job_id


def test_two_nodes_share_a_sluid(machine: Machine) -> None:
    machine.replay("v2-sluid-twonode-t0")
    assert look(machine, "n1").keys() == look(machine, "n2").keys()


def test_where_new_jobs_appear(machine: Machine) -> None:
    machine.replay("v2-twonode-t0")
    machine.write("sys/fs/cgroup/memory/x", "")
    trees = SlurmTrees(machine.paths)
    trees.refresh()
    assert [path.rpartition("/")[2] for path in trees.folders(lambda name: name == "n2")] == [
        "n2_slurmstepd.scope"
    ]


def test_where_new_jobs_appear_on_v1(machine: Machine) -> None:
    machine.replay("v1-oom-t0")
    trees = SlurmTrees(machine.paths)
    trees.refresh()
    root = machine.paths.cgroup / "freezer/slurm_n1"
    assert trees.folders(lambda _: True) == [str(root), str(root / "uid_1001")]


def test_nothing_there(machine: Machine) -> None:
    assert look(machine) == {}


def test_a_change_is_noticed_and_looked_at_some_more_times(machine: Machine) -> None:
    for controller in ("memory", "cpuacct"):
        machine.write(f"sys/fs/cgroup/{controller}/slurm/uid_5/job_3/cgroup.procs", "")
    trees = SlurmTrees(machine.paths)
    trees.refresh()

    def wanted(_: str | None) -> bool:
        return True

    trees.jobs(wanted)
    assert not trees.may_have_changed(wanted)
    machine.write("sys/fs/cgroup/cpuacct/slurm/uid_5/job_4/cgroup.procs", "")
    assert trees.may_have_changed(wanted)
    assert sorted(trees.jobs(wanted)["4"].dirs) == ["cpuacct"]
    # The other controller's directory comes a moment later.
    machine.write("sys/fs/cgroup/memory/slurm/uid_5/job_4/cgroup.procs", "")
    assert trees.may_have_changed(wanted)
    assert sorted(trees.jobs(wanted)["4"].dirs) == ["cpuacct", "memory"]
    for _ in range(3):
        trees.may_have_changed(wanted)
    assert not trees.may_have_changed(wanted)


def test_a_job_without_the_leading_controller_keeps_the_full_look_going(machine: Machine) -> None:
    machine.write("sys/fs/cgroup/cpuacct/slurm/uid_5/job_3/cgroup.procs", "")
    machine.write("sys/fs/cgroup/memory/slurm/uid_5/job_4/cgroup.procs", "")
    trees = SlurmTrees(machine.paths)
    trees.refresh()
    for _ in range(10):
        trees.jobs(lambda _: True)
        assert trees.may_have_changed(lambda _: True)
