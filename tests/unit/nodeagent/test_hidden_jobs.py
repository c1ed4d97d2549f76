"""Jobs behind a SLUID, and jobs of other nodes on the same machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.unit.nodeagent.conftest import (
    SCOPE,
    Agent,
    Machine,
    StillClock,
    entries_of,
    rows_of,
    v2_job,
)

Start = Callable[..., Agent]


def test_a_job_behind_a_sluid_is_told_of_by_its_id(
    machine: Machine, clock: StillClock, start_agent: Start
) -> None:
    machine.replay("v2-sluid-t0")
    agent = start_agent()
    agent.rounds.round()
    machine.replay("v2-sluid-t1")
    clock.go(15)
    agent.rounds.round()
    first, second = agent.take()
    (entry,) = entries_of(first)
    assert (entry["job_id"], entry["restart_count"], entry["uid"]) == ("1", 0, 1001)
    assert (entry["name"], entry["partition"]) == ("burn", "debug")
    (row,) = rows_of(second)
    assert row["cpu_user_s"] > 5


def test_what_a_hidden_job_used_is_told_from_its_start_once_its_id_is_known(
    machine: Machine, clock: StillClock, start_agent: Start, caplog: pytest.LogCaptureFixture
) -> None:
    agent = start_agent()
    agent.rounds.round()
    agent.take()
    folder = f"{SCOPE}/s0KNM7YTPABM00"
    v2_job(machine, "5", 0)
    (machine.root / SCOPE / "job_5").rename(machine.root / folder)
    made_at = clock.at.wall + 1
    for step in (1, 2):
        machine.write(f"{folder}/cpu.stat", f"user_usec {step}000000\nsystem_usec 0\n")
        clock.go(15)
        agent.rounds.round()
    assert [rows_of(document) for document in agent.take()] == [[], []]
    assert "1 jobs wait to be reported" in caplog.text
    machine.write(f"{folder}/step_batch/slurm/cgroup.procs", "77\n")
    machine.write("proc/77/cmdline", "slurmstepd: [123.batch]\0")
    machine.age(made_at)
    clock.go(15)
    # A crash changes nothing: nothing of it was kept.
    agent = start_agent()
    agent.take()
    agent.rounds.round()
    (document,) = agent.take()
    assert [entry["job_id"] for entry in entries_of(document)] == ["123"]
    (row,) = rows_of(document)
    assert (row["cpu_user_s"], row["interval_s"]) == (2.0, 44.0)
    shutil.rmtree(machine.root / folder)
    clock.go(1)
    agent.rounds.jobs.live["s0KNM7YTPABM00"].dirs.close()
    agent.rounds.tick()
    (ended,) = agent.take()
    assert [entry["job_id"] for entry in entries_of(ended)] == ["123"]


def test_a_job_that_ends_before_its_id_is_known_is_counted(
    machine: Machine, clock: StillClock, start_agent: Start
) -> None:
    v2_job(machine, "5", 0)
    (machine.root / SCOPE / "job_5").rename(machine.root / SCOPE / "s0KNM7YTPABM00")
    agent = start_agent()
    agent.rounds.round()
    agent.take()
    shutil.rmtree(machine.root / SCOPE / "s0KNM7YTPABM00")
    agent.rounds.jobs.live["s0KNM7YTPABM00"].dirs.close()
    agent.rounds.tick()
    assert agent.take() == []
    assert agent.rounds.jobs.unnamed == 1


def test_a_guest_speaks_of_its_jobs_only(
    machine: Machine, clock: StillClock, start_agent: Start
) -> None:
    machine.replay("v2-sluid-twonode-t0")
    agent = start_agent(node_name="n2", is_guest=True)
    agent.rounds.round()
    (document,) = agent.take()
    assert document["node"]["name"] == "n2"
    assert document["node"]["aliases"] == []
    assert set(document["tables"]) == {"job_sample"}
    assert len(entries_of(document)) == 1
    shutil.rmtree(machine.root / "sys/fs/cgroup/system.slice/n2_slurmstepd.scope")
    (job,) = agent.rounds.jobs.live.values()
    job.dirs.close()
    clock.go(15)
    agent.rounds.round()
    (ended,) = agent.take()
    assert [entry["gone_at"] is not None for entry in entries_of(ended)] == [True]
    clock.go(15)
    agent.rounds.round()
    assert agent.take() == []


def test_jobs_of_other_voices_are_left_to_them(machine: Machine, start_agent: Start) -> None:
    machine.replay("v2-twonode-t0")
    agent = start_agent()
    agent.rounds.round()
    assert agent.rounds.foreign() == {"n1", "n2"}
    agent.rounds.leave({"n2"})
    agent.rounds.round()
    # The one name left over does not become the machine's own.
    assert agent.rounds.foreign() == {"n1", "n2"}
    documents = agent.take()
    assert [entries_of(document) for document in documents] == [[], []]
    assert len({document["node"]["name"] for document in documents}) == 1
