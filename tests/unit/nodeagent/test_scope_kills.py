"""What a scope's count says of directories that went unread, and when it says nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodeagent.scope_kills import ScopeKills
from tests.unit.nodeagent.conftest import Agent, Machine, StillClock, entries_of, rows_of

SCOPE = "sys/fs/cgroup/system.slice/n1_slurmstepd.scope"


def count(folder: Path, kills: int) -> None:
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "memory.events").write_text(f"low 0\noom 1\noom_kill {kills}\noom_group_kill 0\n")


@pytest.fixture
def scope(tmp_path: Path) -> Path:
    """A scope that counted 7 kills, 2 of them in what is there."""
    count(tmp_path, 7)
    count(tmp_path / "system", 0)
    count(tmp_path / "job_1", 2)
    count(tmp_path / "job_2", 0)
    return tmp_path


def followed(scope: Path) -> ScopeKills:
    kills = ScopeKills()
    kills.keep([str(scope)])
    return kills


def test_the_last_kill_of_the_one_that_went_is_known(scope: Path) -> None:
    kills = followed(scope)
    count(scope, 8)
    shutil.rmtree(scope / "job_2")
    assert kills.last_counts(str(scope), {"2": 0}) == {"2": 1}
    shutil.rmtree(scope / "job_1")
    assert kills.last_counts(str(scope), {"1": 2}) == {"1": 2}


def test_a_kill_in_one_that_stays_is_not_the_others(scope: Path) -> None:
    kills = followed(scope)
    count(scope, 8)
    count(scope / "job_1", 3)
    shutil.rmtree(scope / "job_2")
    assert kills.last_counts(str(scope), {"2": 0}) == {"2": 0}


def test_of_two_that_went_together_none_is_accused(
    scope: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kills = followed(scope)
    count(scope, 8)
    for name in ("job_1", "job_2"):
        shutil.rmtree(scope / name)
    assert kills.last_counts(str(scope), {"1": 2, "2": 0}) == {"1": 2, "2": 0}
    assert "not known in which" in caplog.text


def test_without_a_past_or_a_count_nothing_is_said(scope: Path) -> None:
    shutil.rmtree(scope / "job_2")
    assert ScopeKills().last_counts(str(scope), {"2": 0}) == {"2": 0}
    kills = followed(scope)
    (scope / "memory.events").unlink()
    assert kills.last_counts(str(scope), {"2": 0}) == {"2": 0}
    (scope / "memory.events").write_text("low 0\n")
    assert kills.last_counts(str(scope), {"2": 0}) == {"2": 0}


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=30))
def test_whatever_happens_nobody_gets_more_than_he_had(
    tmp_path_factory: pytest.TempPathFactory, story: list[tuple[str, bool]]
) -> None:
    """Each step is a kill in a job, or its end; what was read of it is always of before the
    kill."""
    scope = tmp_path_factory.mktemp("scope")
    total, real, read = 0, dict.fromkeys("abc", 0), dict.fromkeys("abc", 0)
    count(scope, 0)
    for name in "abc":
        count(scope / name, 0)
    kills = followed(scope)
    for name, is_kill in story:
        if is_kill:
            total += 1
            read[name], real[name] = real[name], real[name] + 1
            count(scope / name, real[name])
            count(scope, total)
            continue
        shutil.rmtree(scope / name)
        assert kills.last_counts(str(scope), {name: read[name]}) == {name: real[name]}
        real[name] = read[name] = 0
        count(scope / name, 0)


def test_a_job_killed_unseen_ends_with_its_kill(
    machine: Machine, clock: StillClock, start_agent: Callable[..., Agent]
) -> None:
    for job_id in ("5", "6"):
        machine.write(f"{SCOPE}/job_{job_id}/cgroup.events", "populated 1\n")
        machine.write(f"{SCOPE}/job_{job_id}/cgroup.procs", "")
        count(machine.root / SCOPE / f"job_{job_id}", 0)
    machine.write("sys/fs/cgroup/cgroup.controllers", "memory\n")
    count(machine.root / SCOPE, 3)
    agent = start_agent()
    agent.rounds.round()
    clock.go(15)
    agent.rounds.round()
    agent.take()
    count(machine.root / SCOPE, 4)
    shutil.rmtree(machine.root / SCOPE / "job_5")
    agent.rounds.jobs.live["5"].dirs.close()
    clock.go(0.5)
    agent.rounds.glance(["5"])
    (ended,) = agent.take()
    (entry,) = entries_of(ended)
    assert (entry["job_id"], entry["oom_killed"]) == ("5", True)
    (row,) = rows_of(ended)
    assert (row["oom_kills"], row["interval_s"]) == (1, 0.001)
    assert entry["gone_at"] == row["time"]
    assert agent.rounds.jobs.live["6"].oom_killed is False
