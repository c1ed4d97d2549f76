from __future__ import annotations

from pathlib import Path

from nodeagent.slurm_jobs import scope_node, top_node
from tsobs.demo.cgroups import JobCgroup, remove_jobs, tops


def mount_v1(root: Path, *controllers: str) -> None:
    for name in controllers:
        (root / name).mkdir(parents=True)
        (root / name / "cgroup.procs").touch()


def test_v1_has_a_folder_for_each_controller(tmp_path: Path) -> None:
    mount_v1(tmp_path, "cpuacct", "memory", "blkio")
    found = tops("demo-1", tmp_path)
    assert found == {name: tmp_path / name / "slurm_demo-1" for name in ("cpuacct", "memory")}
    assert top_node("slurm_demo-1") == (True, "demo-1")


def test_controllers_mounted_together_share_one(tmp_path: Path) -> None:
    mount_v1(tmp_path, "cpu,cpuacct")
    for name in ("cpu", "cpuacct"):
        (tmp_path / name).symlink_to("cpu,cpuacct")
    assert set(tops("d", tmp_path).values()) == {tmp_path / "cpu,cpuacct" / "slurm_d"}


def test_v2_has_one_scope(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory\n")
    [(controller, top)] = tops("demo-1", tmp_path).items()
    assert controller == "v2"
    assert top == tmp_path / "demo-1.slice" / "demo-1_slurmstepd.scope"
    assert scope_node(top.name) == (True, "demo-1")


def test_without_cgroups_there_is_none(tmp_path: Path) -> None:
    assert tops("d", tmp_path) == {}


def test_a_job_is_made_where_slurm_makes_it_and_removed(tmp_path: Path) -> None:
    mount_v1(tmp_path, "cpuacct", "memory")
    found = tops("d", tmp_path)
    job = JobCgroup(found, 7, 1000)
    job.make(memory_bytes=1 << 20)
    assert job.folders == [
        tmp_path / name / "slurm_d/uid_1000/job_7/step_batch/task_0"
        for name in ("cpuacct", "memory")
    ]
    assert all(path.is_dir() for path in job.folders)
    job.make(memory_bytes=1 << 20)
    remove_jobs(found)
    remove_jobs(found)
    assert not any(top.exists() for top in found.values())
    assert (tmp_path / "memory" / "cgroup.procs").exists()


def test_a_v2_job_has_a_user_below_its_step(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").touch()
    found = tops("d", tmp_path)
    job = JobCgroup(found, 7, 1000)
    job.make(memory_bytes=1 << 20)
    assert job.folders == [found["v2"] / "job_7/step_batch/user/task_0"]
    remove_jobs(found)
    assert [path.name for path in tmp_path.iterdir()] == ["cgroup.controllers"]
