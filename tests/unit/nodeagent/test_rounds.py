"""Rounds over recorded machines against golden batches, and the exactly-once rules."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.nodeagent.conftest import (
    FIXTURES,
    SCOPE,
    Agent,
    Machine,
    StillClock,
    entries_of,
    rows_of,
    v2_job,
)

Start = Callable[..., Agent]


def golden(name: str, document: dict[str, Any]) -> None:
    """Compare with a golden file; TSOBS_TEST_GOLDEN=write writes it instead."""
    path = FIXTURES / f"{name}.golden.json"
    # What differs from host to host and run to run.
    node = {**document["node"], "aliases": []}
    document = {**document, "stream": "0" * 32, "agent_version": "0", "node": node}
    if os.environ.get("TSOBS_TEST_GOLDEN") == "write":
        path.write_text(json.dumps(document, indent=1) + "\n")
    assert document == json.loads(path.read_text())


@pytest.mark.parametrize("name", ["v1-oom", "v2-batch", "v2-oom"])
def test_golden_batches(name: str, machine: Machine, clock: StillClock, start_agent: Start) -> None:
    machine.write("etc/slurm/slurm.conf", "ClusterName=lab\n")
    machine.replay(f"{name}-t0")
    agent = start_agent()
    agent.rounds.round()
    machine.replay(f"{name}-t1")
    clock.go(15)
    agent.rounds.round()
    first, second = agent.take()
    golden(f"{name}-first", first)
    golden(f"{name}-second", second)


def test_the_second_batch_says_what_was_used_between(
    machine: Machine, clock: StillClock, start_agent: Start
) -> None:
    """What the golden files hold, computed here from the recorded files once more."""
    machine.replay("v1-oom-t0")
    agent = start_agent()
    agent.rounds.round()
    usage = machine.paths.cgroup / "cpuacct/slurm_n1/uid_1001/job_42/cpuacct.usage"
    before = int(usage.read_text())
    machine.replay("v1-oom-t1")
    clock.go(15)
    agent.rounds.round()
    first, second = agent.take()
    (row,) = rows_of(first)
    assert not {"cpu_user_s", "oom_kills"} & set(row)
    (row,) = rows_of(second)
    assert row["cpu_user_s"] + row["cpu_system_s"] == pytest.approx(
        (int(usage.read_text()) - before) / 1e9, abs=1e-9
    )
    assert row["oom_kills"] == 1
    assert row["memory_peak_bytes"] == 96 * 1024**2
    (entry,) = entries_of(second)
    assert entry["oom_killed"] is True
    assert (entry["uid"], entry["user_name"]) == (1001, "alice")


def used(documents: list[dict[str, Any]]) -> float:
    """Return the CPU seconds that batches tell of."""
    return sum(row.get("cpu_user_s") or 0.0 for d in documents for row in rows_of(d))


def test_a_new_job_counts_from_zero_and_its_end_comes_at_once(
    machine: Machine, clock: StillClock, start_agent: Start
) -> None:
    agent = start_agent(node_name="n1")
    agent.rounds.round()
    clock.go(4)
    v2_job(machine, "5", 300_000)
    machine.age(clock.at.wall - 0.5)
    agent.rounds.tick()
    v2_job(machine, "5", 900_000)
    clock.go(1)
    agent.rounds.tick()
    assert len(agent.take()) == 1
    shutil.rmtree(machine.root / SCOPE / "job_5")
    last = clock.at.wall
    clock.go(1)
    agent.rounds.jobs.live["5"].dirs.close()
    agent.rounds.tick()
    (document,) = agent.take()
    assert set(document["tables"]) == {"job_sample"}
    (row,) = rows_of(document)
    assert (row["time"], row["interval_s"], row["cpu_user_s"]) == (last, 1.5, 0.9)
    (entry,) = entries_of(document)
    assert (entry["gone_at"], entry["started_at"]) == (last, last - 1.5)


def test_a_requeued_job_ends_in_one_batch_and_begins_in_the_next(
    machine: Machine, clock: StillClock, start_agent: Start
) -> None:
    v2_job(machine, "5", 1_000_000)
    agent = start_agent()
    agent.rounds.round()
    v2_job(machine, "5", 2_000_000)
    clock.go(14)
    agent.rounds.tick()
    (machine.root / SCOPE / "job_5").rename(machine.root / "old")
    v2_job(machine, "5", 3_000_000)
    clock.go(1)
    agent.rounds.round()
    _, ended, begun = agent.take()
    assert [entry.get("gone_at") is not None for entry in entries_of(ended)] == [True]
    assert [row["cpu_user_s"] for row in rows_of(ended)] == [1.0]
    assert [entry.get("gone_at") for entry in entries_of(begun)] == [None]
    assert [row["cpu_user_s"] for row in rows_of(begun)] == [3.0]
    assert (ended["seq"], begun["seq"]) == (2, 3)


def test_a_crash_between_rounds_loses_and_doubles_nothing(
    machine: Machine, clock: StillClock, start_agent: Start
) -> None:
    """Each process is dropped without a word; what is not committed is counted by the next one."""
    start_agent().rounds.round()
    sent = []
    for step in range(1, 8):
        v2_job(machine, "5", step * 1_000_000)
        clock.go(15)
        agent = start_agent()
        if step % 3 == 0:
            agent.rounds.tick()  # killed before its round
            continue
        agent.rounds.round()
        if step % 2:
            sent += agent.take()
    sent += start_agent().take()
    distinct = {(d["stream"], d["seq"]): d for d in sent}
    assert used(list(distinct.values())) == 7.0
    assert sum(r["interval_s"] for d in distinct.values() for r in rows_of(d)) == pytest.approx(
        clock.at.wall - entries_of(sent[-1])[0]["started_at"], abs=0.01
    )


def test_a_state_that_cannot_be_written_adds_up(
    machine: Machine, clock: StillClock, start_agent: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    v2_job(machine, "5", 0)
    agent = start_agent()
    agent.rounds.round()
    agent.take()

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for step in (1, 2):
            v2_job(machine, "5", step * 1_000_000)
            clock.go(15)
            agent.rounds.round()
        assert agent.take() == []
        # A job that ends meanwhile is not forgotten.
        v2_job(machine, "6", 500_000)
        agent.rounds.tick()
        shutil.rmtree(machine.root / SCOPE / "job_6")
        agent.rounds.jobs.live["6"].dirs.close()
        agent.rounds.tick()
    v2_job(machine, "5", 3_000_000)
    clock.go(15)
    agent.rounds.round()
    ended, merged = agent.take()
    assert [entry["job_id"] for entry in entries_of(ended)] == ["6"]
    (row,) = rows_of(merged)
    assert (row["interval_s"], row["cpu_user_s"]) == (45.0, 3.0)
    (row,) = rows_of(merged, "node_sample") or [{"interval_s": 45.0}]
    assert row["interval_s"] == 45.0


def test_a_full_spool_adds_up_and_remembers_ends_through_a_crash(
    machine: Machine, clock: StillClock, start_agent: Start
) -> None:
    v2_job(machine, "5", 0)
    v2_job(machine, "6", 0)
    agent = start_agent()
    agent.rounds.round()
    first = agent.take()
    agent.outbox._spool_max_bytes = 0
    v2_job(machine, "6", 250_000)
    clock.go(5)
    agent.rounds.tick()
    shutil.rmtree(machine.root / SCOPE / "job_6")
    agent.rounds.jobs.live["6"].dirs.close()
    agent.rounds.tick()
    v2_job(machine, "5", 1_000_000)
    clock.go(10)
    agent.rounds.round()
    assert agent.take() == []
    again = start_agent()
    v2_job(machine, "5", 2_000_000)
    clock.go(15)
    again.rounds.round()
    later = again.take()
    assert used(first + later) == 2.25
    assert [e["job_id"] for d in later for e in entries_of(d) if e.get("gone_at")] == ["6"]


def test_another_boot_ends_all_jobs_and_counts_anew(
    machine: Machine, clock: StillClock, start_agent: Start
) -> None:
    v2_job(machine, "5", 5_000_000)
    agent = start_agent()
    agent.rounds.round()
    last = clock.at.wall
    clock.go(600)
    machine.write("proc/sys/kernel/random/boot_id", "boot-2\n")
    (machine.root / SCOPE / "job_5").rename(machine.root / "old")
    v2_job(machine, "7", 1_000_000)
    agent = start_agent()
    agent.rounds.round()
    _, ended, now = agent.take()
    assert [(e["job_id"], e["gone_at"]) for e in entries_of(ended)] == [("5", last)]
    assert rows_of(ended) == []
    assert [e["job_id"] for e in entries_of(now)] == ["7"]
    assert all("cpu_user_s" not in row for row in rows_of(now))


def test_a_failing_collector_leaves_its_columns_out(
    machine: Machine, start_agent: Start, caplog: pytest.LogCaptureFixture
) -> None:
    machine.replay("v2-batch-t0")
    machine.write(f"{SCOPE}/job_1/cpu.stat", "user_usec rubbish\n")
    machine.write("proc/meminfo", "MemTotal:\n")
    agent = start_agent()
    agent.rounds.round()
    (document,) = agent.take()
    (row,) = rows_of(document)
    assert row["memory_used_bytes"] == 120_406_016
    (node,) = rows_of(document, "node_sample")
    assert "memory_total_bytes" not in node
    assert node["load1"] == 0.34
    assert "collector node_memory failed" in caplog.text


def test_the_node_name_comes_from_the_path_and_is_remembered(
    machine: Machine, clock: StillClock, start_agent: Start
) -> None:
    agent = start_agent()
    agent.rounds.round()
    (idle,) = agent.take()
    machine.replay("v2-batch-t0")
    clock.go(1)
    agent.rounds.tick()
    agent.rounds.round()
    (named,) = agent.take()
    assert named["node"]["name"] == "n1"
    assert idle["node"]["name"] in named["node"]["aliases"]
    # A stream belongs to one name.
    assert named["stream"] != idle["stream"]
    shutil.rmtree(machine.paths.cgroup)
    machine.paths.cgroup.mkdir()
    again = start_agent()
    again.rounds.round()
    assert again.take()[-1]["node"]["name"] == "n1"


def test_of_two_nodes_on_one_machine_the_own_one_is_read(
    machine: Machine, start_agent: Start
) -> None:
    machine.replay("v2-twonode-t0")
    agent = start_agent(node_name="n2")
    agent.rounds.round()
    (document,) = agent.take()
    assert [entry["job_id"] for entry in entries_of(document)] == ["5"]
    assert agent.rounds.foreign() == {"n1"}


def test_a_machine_without_an_id_makes_one_and_keeps_it(
    machine: Machine, start_agent: Start
) -> None:
    (machine.paths.etc / "machine-id").unlink()
    first, second = start_agent(), start_agent()
    first.rounds.round()
    second = start_agent()
    second.rounds.round()
    ids = {document["machine_id"] for document in second.take()}
    assert len(ids) == 1


def test_two_looks_without_an_outbox_show_what_was_used_between(
    machine: Machine, clock: StillClock, start_agent: Start, tmp_path: Path
) -> None:
    v2_job(machine, "5", 1_000_000)
    agent = start_agent()
    agent.rounds._outbox = None
    agent.rounds.look_first()
    v2_job(machine, "5", 1_500_000)
    clock.go(1)
    (content,), _, _ = agent.rounds.read()
    (row,) = rows_of(json.loads(content))
    assert row["cpu_user_s"] == 0.5
    agent.rounds.tick()
    agent.rounds.close()


def test_a_clock_that_is_off_is_reported(start_agent: Start) -> None:
    agent = start_agent()
    for offset_s in (None, 59.0, -75.5):
        agent.outbox.clock_offset_s = offset_s
        agent.rounds.round()
    assert [d.get("clock_offset_s") for d in agent.take()] == [None, None, -75.5]


def test_an_event_of_a_job_is_a_reading_at_once(
    machine: Machine, clock: StillClock, start_agent: Start
) -> None:
    v2_job(machine, "5", 1_000_000)
    agent = start_agent()
    agent.rounds.round()
    clock.go(0.3)
    v2_job(machine, "5", 1_250_000)
    agent.rounds.glance(["5", "no longer there"])
    shutil.rmtree(machine.root / SCOPE / "job_5")
    clock.go(0.2)
    agent.rounds.jobs.live["5"].dirs.close()
    agent.rounds.glance(["5"])
    _, ended = agent.take()
    (row,) = rows_of(ended)
    assert (row["interval_s"], row["cpu_user_s"]) == (0.3, 0.25)
