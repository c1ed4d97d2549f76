"""One job's life: readings become rows, and the last one its end."""

from __future__ import annotations

import pytest

from nodeagent.clock import Instant
from nodeagent.collector import Frame, Pace
from nodeagent.counters import Base
from nodeagent.live_job import LiveJob, in_seconds
from nodeagent.process_environ import Facts
from tests.unit.nodeagent.conftest import Machine

FOLDER = "system.slice/n1_slurmstepd.scope/job_8"


def make(machine: Machine, kind: str = "zero") -> LiveJob:
    base = Base(kind, {}, {}, 100.0, 1000.0)
    return LiveJob("8", machine.job(v2=FOLDER), base, 1000.0)


@pytest.fixture
def job(machine: Machine) -> LiveJob:
    return make(machine.replay("v2-oom-t0"))


def at(boot: float) -> Instant:
    return Instant(900.0 + boot, boot)


def test_a_new_job_counts_from_zero_since_it_was_made(job: LiveJob) -> None:
    job.read(Frame(), at(103.5))
    row = job.row(1005.0)
    assert row is not None
    assert (row["time"], row["interval_s"]) == (1005.0, 3.5)
    assert row["cpu_user_s"] == 0.100015
    assert row["processes"] == 5
    assert not any(name.startswith("_") for name in row)


def test_a_job_met_without_a_past_has_gauges_only(machine: Machine) -> None:
    job = make(machine.replay("v2-oom-t0"), "unknown")
    job.read(Frame(), at(103.5))
    row = job.row()
    assert row is not None
    assert row["interval_s"] == 1.0
    assert row["memory_used_bytes"] == 1_646_592
    assert not any(name in row for name in ("cpu_user_s", "oom_kills", "page_faults"))


def test_a_kept_row_is_the_base_of_the_next(job: LiveJob, machine: Machine) -> None:
    job.read(Frame(), at(105.0))
    job.rebase(job.next_base())
    assert job.row() is None
    machine.replay("v2-oom-t1")
    job.read(Frame(), at(115.0))
    row = job.row()
    assert row is not None
    assert row["interval_s"] == 10.0
    assert row["cpu_user_s"] == pytest.approx(0.325720 - 0.100015)
    assert (row["oom_kills"], row["memory_limit_hits"]) == (1, 137)
    assert job.oom_killed is True


def test_a_row_that_was_not_kept_is_merged_into_the_next(job: LiveJob, machine: Machine) -> None:
    job.read(Frame(), at(105.0))
    job.row()
    machine.replay("v2-oom-t1")
    job.read(Frame(), at(115.0))
    row = job.row()
    assert row is not None
    assert row["interval_s"] == 15.0
    assert row["cpu_user_s"] == 0.32572


def test_each_second_only_the_cheap_things_are_read(job: LiveJob) -> None:
    job.read(Frame(), at(101.0), Pace.SECOND)
    row = job.row()
    assert row is not None
    assert {"cpu_user_s", "memory_used_bytes", "memory_peak_bytes", "oom_kills"} <= set(row)
    assert not {"processes", "memory_rss_bytes", "io_pressure_some_s"} & set(row)
    job.read(Frame(), at(102.0), Pace.OFTEN)
    row = job.row()
    assert row is not None
    assert {"memory_rss_bytes", "io_pressure_some_s"} <= set(row)
    assert "processes" not in row


def test_the_end_is_the_last_reading(job: LiveJob) -> None:
    job.read(Frame(), at(105.0))
    job.rebase(job.next_base())
    job.read(Frame(), at(107.25), Pace.SECOND)
    final = job.final()
    assert final["job"]["gone_at"] == 1007.25
    assert (final["row"]["time"], final["row"]["interval_s"]) == (1007.25, 2.25)


def test_a_job_gone_right_after_its_row_ends_without_another(job: LiveJob) -> None:
    job.read(Frame(), at(105.0))
    job.rebase(job.next_base())
    assert job.final() == {"job": job.entry(1005.0), "row": None}


def test_what_it_was_given(job: LiveJob) -> None:
    job.read(Frame(), at(105.0))
    job.job_id, job.uid, job.user_name = "8", 1001, "alice"
    job.facts = Facts(restart_count=0, name="burn", user_name="mallory")
    job.rebase(job.next_base())
    assert job.entry() == {
        "scheduler": "slurm",
        "job_id": "8",
        "restart_count": 0,
        "name": "burn",
        "account": None,
        "partition": None,
        "array_job_id": None,
        "array_task_id": None,
        "user_name": "alice",
        "uid": 1001,
        "started_at": 1000.0,
        "cpus": 1,
        "memory_bytes": 62_914_560,
        "gone_at": None,
        "oom_killed": False,
    }


def test_a_cgroup_left_behind_empty_is_over_after_a_minute(job: LiveJob, machine: Machine) -> None:
    frame = Frame()
    machine.write(f"sys/fs/cgroup/{FOLDER}/cgroup.events", "populated 0\n")
    job.read(frame, at(105.0))
    job.read(frame, at(164.0))
    assert not job.is_empty_for_long()
    job.read(frame, at(165.0))
    assert job.is_empty_for_long()
    assert job.final()["job"]["gone_at"] == 1005.0
    machine.write(f"sys/fs/cgroup/{FOLDER}/cgroup.events", "populated 1\n")
    job.read(frame, at(180.0))
    assert not job.is_empty_for_long()


def test_nanoseconds_become_seconds_and_the_unknown_is_left_out() -> None:
    deltas = {"cpu_user_s": 1_500_000_001, "page_faults": 7, "oom_kills": None}
    assert in_seconds(deltas) == {"cpu_user_s": 1.500000001, "page_faults": 7}
