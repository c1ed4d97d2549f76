"""Who comes, stays and goes."""

from __future__ import annotations

import shutil

import pytest

from nodeagent import job_table
from nodeagent.collector import Frame
from nodeagent.job_dirs import FileBudget
from nodeagent.job_table import JobTable
from nodeagent.slurm_jobs import FoundJob, SlurmTrees
from nodeagent.users import Users
from tests.unit.nodeagent.conftest import MADE_AT, Machine, StillClock

SCOPE = "sys/fs/cgroup/system.slice/n1_slurmstepd.scope"


class Table:
    def __init__(self, machine: Machine, clock: StillClock) -> None:
        self.machine = machine
        users = Users(lambda uid: {1001: "alice"}[uid])
        self.jobs = JobTable(machine.paths, Frame(), users, FileBudget(100), clock)

    def found(self) -> dict[str, FoundJob]:
        trees = SlurmTrees(self.machine.paths)
        trees.refresh()
        return trees.jobs(lambda _: True)

    def look(self) -> bool:
        return self.jobs.look(self.found())


@pytest.fixture
def table(machine: Machine, clock: StillClock) -> Table:
    return Table(machine.replay("v2-batch-t0"), clock)


def job_of(machine: Machine, job_id: str, usage_usec: int = 5_000_000) -> None:
    folder = f"{SCOPE}/job_{job_id}"
    machine.write(f"{folder}/cgroup.events", "populated 1\n")
    machine.write(f"{folder}/cgroup.procs", "")
    machine.write(f"{folder}/cpu.stat", f"user_usec {usage_usec}\nsystem_usec 0\n")


def test_at_the_very_first_look_the_past_is_unknown_and_later_it_is_zero(table: Table) -> None:
    table.look()
    assert table.jobs.live["1"].base.kind == "unknown"
    job_of(table.machine, "2")
    table.look()
    assert table.jobs.live["2"].base.kind == "zero"
    assert (table.jobs.live["1"].uid, table.jobs.live["1"].user_name) == (1001, "alice")


def test_a_new_job_started_when_its_directory_was_made(table: Table, clock: StillClock) -> None:
    table.look()
    job_of(table.machine, "2")
    table.machine.age(clock.at.wall - 0.75)
    table.look()
    job = table.jobs.live["2"]
    assert job.started_at == clock.at.wall - 0.75
    assert job.base.boot == clock.at.boot - 0.75


def test_a_job_met_without_a_past_started_no_later_than_its_oldest_process(
    table: Table, clock: StillClock
) -> None:
    """The kernel makes a directory's times up anew when it drops and reloads the inode."""
    table.machine.age(clock.at.wall)
    table.look()
    started_at = table.jobs.live["1"].started_at
    assert started_at is not None
    assert started_at < clock.at.wall - 250
    table.machine.age(MADE_AT - 100)
    assert table.jobs.live["1"].started_at == started_at


def test_a_job_that_vanished_is_ended_once(table: Table) -> None:
    table.look()
    shutil.rmtree(table.machine.root / SCOPE / "job_1")
    assert table.look()
    assert not table.look()
    (final,) = table.jobs.finals
    assert final["job"]["job_id"] == "1"
    assert table.jobs.live == {}


def test_a_cgroup_made_anew_is_an_end_and_a_beginning(table: Table) -> None:
    table.look()
    (table.machine.root / SCOPE / "job_1").rename(table.machine.root / "kept")
    job_of(table.machine, "1", 7)
    assert table.look()
    assert [final["job"]["job_id"] for final in table.jobs.finals] == ["1"]
    assert table.jobs.live["1"].base.kind == "zero"


def test_a_controller_that_comes_later_joins_the_job(machine: Machine, clock: StillClock) -> None:
    machine.write("sys/fs/cgroup/freezer/slurm/uid_1001/job_3/cgroup.procs", "5\n")
    table = Table(machine, clock)
    table.look()
    job = table.jobs.live["3"]
    job.rebase(job.next_base())
    machine.write("sys/fs/cgroup/cpuacct/slurm/uid_1001/job_3/cpuacct.usage", "7000000000\n")
    machine.write("sys/fs/cgroup/cpuacct/slurm/uid_1001/job_3/cpuacct.stat", "user 1\nsystem 0\n")
    assert not table.look()
    row = job.row()
    assert row is not None
    assert row["cpu_user_s"] == 7.0
    shutil.rmtree(machine.root / "sys/fs/cgroup/freezer/slurm")
    assert not table.look()


def test_a_directory_left_behind_before_we_came_is_no_job(
    machine: Machine, clock: StillClock
) -> None:
    table = Table(machine.replay("v2-oom-t0"), clock)
    table.look()
    assert table.jobs.live["1"].parked
    assert not table.jobs.live["8"].parked
    assert set(table.jobs.handles()[0].values()) == {"8"}
    shutil.rmtree(machine.root / SCOPE / "job_1")
    assert not table.look()


def test_a_directory_left_behind_under_our_eyes_is_an_end_and_may_come_back(
    table: Table, clock: StillClock
) -> None:
    table.look()
    table.machine.write(f"{SCOPE}/job_1/cgroup.events", "populated 0\n")
    for _ in range(6):
        clock.go(15)
        table.jobs.read_all()
        table.jobs.tick()
    assert [final["job"]["job_id"] for final in table.jobs.finals] == ["1"]
    assert table.jobs.live["1"].parked
    table.machine.write(f"{SCOPE}/job_1/cgroup.events", "populated 1\n")
    table.jobs.read_all()
    assert not table.jobs.live["1"].parked


def test_what_is_stored_is_taken_up(machine: Machine, clock: StillClock, table: Table) -> None:
    table.look()
    job = table.jobs.live["1"]
    document = table.jobs.document({"1": job.next_base()})
    job.rebase(job.next_base())
    machine.replay("v2-batch-t1")
    again = Table(machine, clock)
    again.jobs.restore(document, [], same_boot=True)
    clock.go(15)
    assert not again.look()
    restored = again.jobs.live["1"]
    assert (restored.base.kind, restored.user_name) == ("known", "alice")
    assert restored.started_at == job.started_at
    row = restored.row()
    assert row is not None
    assert row["interval_s"] == 15.0
    assert 9 < row["cpu_user_s"] + row["cpu_system_s"] < 13


def test_a_job_that_no_row_tells_of_is_not_stored(table: Table) -> None:
    table.look()
    job_of(table.machine, "2")
    table.look()
    assert set(table.jobs.document({})) == {"1"}
    assert set(table.jobs.document({"2": table.jobs.live["2"].next_base()})) == {"1", "2"}


def test_a_job_that_came_while_we_were_away_counts_from_zero(
    machine: Machine, clock: StillClock, table: Table
) -> None:
    job = "job_1"
    (machine.root / SCOPE / job).rename(machine.root / "kept")
    table.look()
    document = table.jobs.document({})
    (machine.root / "kept").rename(machine.root / SCOPE / job)
    again = Table(machine, clock)
    again.jobs.restore(document, [], same_boot=True)
    again.look()
    live = again.jobs.live["1"]
    assert live.base.kind == "zero"
    row = live.row()
    assert row is not None
    assert row["cpu_user_s"] > 5
    assert row["interval_s"] > 200


@pytest.mark.parametrize("same_boot", [True, False])
def test_what_ended_while_we_were_away_is_ended_as_last_seen(
    machine: Machine, clock: StillClock, table: Table, same_boot: bool
) -> None:
    table.look()
    job = table.jobs.live["1"]
    document = table.jobs.document({"1": job.next_base()})
    seen = clock.at.wall
    clock.go(600)
    if same_boot:
        shutil.rmtree(machine.root / SCOPE / "job_1")
    again = Table(machine, clock)
    again.jobs.restore(document, [], same_boot=same_boot)
    again.look()
    (final,) = again.jobs.finals
    assert final["job"]["gone_at"] == seen
    assert final["row"] is None
    assert set(again.jobs.live) == (set() if same_boot else {"1"})
    if not same_boot:
        assert again.jobs.live["1"].base.kind == "unknown"


def test_ends_that_cannot_be_written_are_bounded(
    table: Table, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(job_table, "_MAX_FINALS", 2)
    for number in range(10, 14):
        job_of(table.machine, str(number))
    table.look()
    for number in range(10, 14):
        shutil.rmtree(table.machine.root / SCOPE / f"job_{number}")
    table.look()
    assert len(table.jobs.finals) == 2
    assert table.jobs.finals_lost == 2
    assert "is lost" in caplog.text


def test_one_job_may_be_read_by_itself(table: Table) -> None:
    table.look()
    table.jobs.live["1"].rebase(table.jobs.live["1"].next_base())
    table.jobs.read("1")
    table.jobs.read("gone")
    assert table.jobs.live["1"].row() is not None
    table.jobs.close()
