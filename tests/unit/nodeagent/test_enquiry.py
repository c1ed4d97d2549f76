"""How often a job's processes are asked, and until when."""

from __future__ import annotations

import pytest

from nodeagent import enquiry
from nodeagent.clock import Instant
from nodeagent.counters import Base
from nodeagent.enquiry import Enquiry
from nodeagent.live_job import LiveJob
from nodeagent.process_facts import Learned, learn
from tests.unit.nodeagent.conftest import Machine

FOLDER = "system.slice/n1_slurmstepd.scope"


def make(machine: Machine, key: str, job_id: str | None) -> LiveJob:
    folder = f"{FOLDER}/job_{key}" if job_id else f"{FOLDER}/{key}"
    job = LiveJob(key, machine.job(v2=folder), Base("zero", {}, {}, 0.0, 0.0), 0.0)
    job.job_id = job_id
    return job


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the keys that were asked for, in order."""
    keys: list[str] = []

    def count(dirs: object, key: str, job_id: str | None, uid: int | None) -> Learned:
        keys.append(key)
        return learn(dirs, key, job_id, uid)  # type: ignore[arg-type]

    monkeypatch.setattr(enquiry, "learn", count)
    return keys


def test_once_all_is_known_nobody_is_asked_any_more(machine: Machine, asked: list[str]) -> None:
    job = make(machine.replay("v2-sluid-t0"), "s0KNM7YTPABM00", None)
    one = Enquiry()
    for second in range(100):
        one.ask(job, Instant(0.0, float(second)))
    assert (job.job_id, job.uid, job.facts.restart_count) == ("1", 1001, 0)
    assert len(asked) == 1
    one.renew()
    one.ask(job, Instant(0.0, 100.0))
    assert len(asked) == 2
    one.close()


def test_who_does_not_answer_is_asked_less_and_less(machine: Machine, asked: list[str]) -> None:
    machine.write(f"sys/fs/cgroup/{FOLDER}/job_5/cgroup.procs", "")
    job = make(machine, "5", "5")
    one = Enquiry()
    for second in range(3600):
        one.ask(job, Instant(0.0, float(second)))
    assert 30 < len(asked) < 60
    assert job.facts.restart_count is None
    # A recorded machine has no processes to follow.
    assert one.handles() == []
    one.notice()
    one.close()
    one.close()
