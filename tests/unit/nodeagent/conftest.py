"""Recorded machines to read from, a clock that stands still, and the parts put together over
them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nodeagent import batch
from nodeagent.clock import Instant
from nodeagent.collector import Frame
from nodeagent.job_dirs import CgroupDir, FileBudget, JobDirs
from nodeagent.outbox import Outbox
from nodeagent.paths import Paths
from nodeagent.rounds import Rounds, Subject
from nodeagent.spool import Spool
from nodeagent.state import StateFile
from nodeagent.users import Users

FIXTURES = Path(__file__).parents[2] / "fixtures" / "nodeagent"
SCOPE = "sys/fs/cgroup/system.slice/n1_slurmstepd.scope"
# When every recorded job directory was made.
MADE_AT = 1_795_257_000.0
# The first reading: on the grid, five minutes after.
NOW = Instant(1_795_257_300.0, 300.0)


class Machine:
    """A recorded machine under a folder; `replay` writes a snapshot over it, directories stay the
    same."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = Paths(root / "sys/fs/cgroup", root / "proc", root / "sys", root / "etc")
        for path in self.paths:
            path.mkdir(parents=True, exist_ok=True)

    def replay(self, name: str) -> Machine:
        """Write a snapshot of tests/fixtures/nodeagent."""
        for path, text in json.loads((FIXTURES / f"{name}.json").read_text()).items():
            self.write(path, text)
        return self.age()

    def write(self, path: str, text: str) -> None:
        """Write one file, making its folders."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def age(self, made_at: float = MADE_AT) -> Machine:
        """Let all directories seem made at a time."""
        for folder in self.root.rglob("*"):
            if folder.is_dir():
                os.utime(folder, (made_at, made_at))
        return self

    def job(self, **dirs: str) -> JobDirs:
        """Return the directories of a job, controller → path below the cgroup root."""
        found = {}
        for controller, path in dirs.items():
            folder = self.paths.cgroup / path
            found[controller] = CgroupDir(str(folder), folder.stat().st_ino)
        return JobDirs(self.paths, found, FileBudget(100))


class StillClock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> Instant:
        return self.at

    def go(self, seconds: float) -> Instant:
        """Let time pass."""
        self.at = Instant(self.at.wall + seconds, self.at.boot + seconds)
        return self.at


class Agent:
    """Rounds over a machine with an outbox in a folder; `sent` are the batches waiting, as
    documents."""

    def __init__(self, machine: Machine, state: Path, clock: StillClock, **subject: Any) -> None:
        self.outbox = Outbox(StateFile(state), Spool(state), 2**28)
        stored = self.outbox.open()
        self.frame = Frame()
        self.rounds = Rounds(
            Subject(**subject),
            machine.paths,
            frame=self.frame,
            outbox=self.outbox,
            users=Users(lambda uid: {1000: "carol", 1001: "alice", 1002: "bob"}[uid]),
            budget=FileBudget(1000),
            now=clock,
        )
        self.rounds.restore(stored)

    def take(self) -> list[dict[str, Any]]:
        """Return and acknowledge what waits to be sent."""
        documents = []
        while (item := self.outbox.head()) is not None:
            documents.append(json.loads(self.outbox.body(item)))
            self.outbox.acknowledge(item)
        return documents


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """An empty machine."""
    (tmp_path / "machine").mkdir()
    machine = Machine(tmp_path / "machine")
    machine.write("etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    machine.write("proc/sys/kernel/random/boot_id", "boot-1\n")
    return machine


@pytest.fixture
def clock() -> StillClock:
    """A clock that stands at NOW."""
    return StillClock()


@pytest.fixture
def start_agent(machine: Machine, tmp_path: Path, clock: StillClock) -> Callable[..., Agent]:
    """Start an agent over the machine; called again it is the next process with the same state
    folder."""
    state = tmp_path / "state"
    state.mkdir()

    def start(**subject: Any) -> Agent:
        return Agent(machine, state, clock, **subject)

    return start


def rows_of(document: dict[str, Any], table: str = "job_sample") -> list[dict[str, Any]]:
    """Return a table of a batch as rows."""
    columns = document["tables"].get(table, {})
    return [dict(zip(columns, values)) for values in zip(*columns.values())]


def entries_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the jobs of a batch as rows."""
    columns = document.get("jobs", {})
    return [dict(zip(columns, values)) for values in zip(*columns.values())]


def numbered(seq: int, stream: str = "0" * 32, **more: Any) -> bytes:
    """Return a small batch as sent."""
    return batch.number(json.dumps({"n": seq, **more}).encode(), stream, seq)


def v2_job(machine: Machine, job_id: str, usage_usec: int) -> None:
    """Write a v2 job of little more than its CPU time, or another time over it."""
    folder = f"{SCOPE}/job_{job_id}"
    machine.write("sys/fs/cgroup/cgroup.controllers", "cpu\n")
    machine.write(f"{folder}/cgroup.events", "populated 1\n")
    machine.write(f"{folder}/cgroup.procs", "")
    machine.write(f"{folder}/cpu.stat", f"user_usec {usage_usec}\nsystem_usec 0\n")
