"""Files of a job: read, kept open, gone; and the tree below it."""

from __future__ import annotations

import os
import shutil

import pytest

from nodeagent.collector import NoData
from nodeagent.job_dirs import CgroupDir, FileBudget, JobDirs
from tests.unit.nodeagent.conftest import Machine

JOB = "memory/slurm/uid_1/job_1"


@pytest.fixture
def filled(machine: Machine) -> Machine:
    for part in ("", "step_0/", "step_0/task_0/"):
        machine.write(f"sys/fs/cgroup/{JOB}/{part}memory.failcnt", "3\n")
    return machine


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def test_a_followed_file_stays_open_and_a_read_one_does_not(filled: Machine) -> None:
    job = filled.job(memory=JOB)
    before = open_files()
    assert job.read("memory", "memory.failcnt") == "3\n"
    assert open_files() == before
    assert job.handle("memory", "memory.failcnt") is None
    assert job.follow("memory", "memory.failcnt", "step_0") == "3\n"
    assert job.follow("memory", "memory.failcnt") == "3\n"
    assert job.handle("memory", "memory.failcnt") is not None
    assert open_files() == before + 2
    filled.write(f"sys/fs/cgroup/{JOB}/memory.failcnt", "4\n")
    assert job.follow("memory", "memory.failcnt") == "4\n"
    job.close()
    job.close()
    assert open_files() == before


def test_past_the_budget_files_are_opened_each_time(filled: Machine) -> None:
    folder = filled.paths.cgroup / JOB
    budget = FileBudget(1)
    job = JobDirs(filled.paths, {"memory": CgroupDir(str(folder), 1)}, budget)
    job.follow("memory", "memory.failcnt")
    before = open_files()
    assert job.follow("memory", "memory.failcnt", "step_0") == "3\n"
    assert open_files() == before
    job.close()
    assert budget.left == 1


def test_a_long_list_is_read_whole(filled: Machine) -> None:
    text = "".join(f"{pid}\n" for pid in range(100_000, 120_000))
    filled.write(f"sys/fs/cgroup/{JOB}/cgroup.procs", text)
    assert filled.job(memory=JOB).read("memory", "cgroup.procs") == text


def test_what_is_not_there_is_no_data_and_looked_for_again_when_told(filled: Machine) -> None:
    job = filled.job(memory=JOB)
    for _ in range(2):
        with pytest.raises(NoData, match=r"memory\.peak"):
            job.read("memory", "memory.peak")
    with pytest.raises(NoData):
        job.read("cpuacct", "cpuacct.usage")
    filled.write(f"sys/fs/cgroup/{JOB}/memory.peak", "1\n")
    job.forget_missing()
    assert job.read("memory", "memory.peak") == "1\n"


def test_what_may_not_be_read_is_an_error(filled: Machine) -> None:
    (filled.paths.cgroup / JOB / "memory.stat").mkdir()
    with pytest.raises(IsADirectoryError):
        filled.job(memory=JOB).read("memory", "memory.stat")


@pytest.mark.parametrize("quick", [False, True])
def test_the_tree_follows_steps_that_come_and_go(filled: Machine, quick: bool) -> None:
    job = filled.job(memory=JOB)
    assert list(job.parts("memory", quick=quick)) == ["", "step_0", "step_0/task_0"]
    filled.write(f"sys/fs/cgroup/{JOB}/step_1/task_1/memory.failcnt", "0\n")
    assert "step_1/task_1" in job.parts("memory", quick=quick)
    shutil.rmtree(filled.paths.cgroup / JOB / "step_0")
    assert list(job.parts("memory", quick=quick)) == ["", "step_1", "step_1/task_1"]
    assert job.parts("cpuacct") == {}


def test_a_part_that_cannot_be_read_makes_the_tree_be_walked_again(filled: Machine) -> None:
    job = filled.job(memory=JOB)
    for _ in range(5):
        job.parts("memory", quick=True)
    shutil.rmtree(filled.paths.cgroup / JOB / "step_0" / "task_0")
    with pytest.raises(NoData):
        job.read("memory", "memory.failcnt", "step_0/task_0")
    assert list(job.parts("memory", quick=True)) == ["", "step_0"]


def test_moving_closes_what_is_gone_and_takes_what_is_new(filled: Machine) -> None:
    job = filled.job(memory=JOB)
    job.follow("memory", "memory.failcnt")
    filled.write("sys/fs/cgroup/cpuacct/job/cpuacct.usage", "5\n")
    folder = filled.paths.cgroup / "cpuacct/job"
    job.move({"cpuacct": CgroupDir(str(folder), folder.stat().st_ino)})
    assert job.read("cpuacct", "cpuacct.usage") == "5\n"
    assert not job.has("memory")
    assert job.inodes() == {"cpuacct": folder.stat().st_ino}
    assert job.handle("memory", "memory.failcnt") is None
