"""Lives of a job id as the hooks and agents of three nodes and a controller would tell them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ingest.batch import parse_batch
from ingest.lifecycle import Told, read_finished, read_started
from ingest.names import _observation as agents_observation
from ingest.names import _Told as AgentTold
from ingest.observation import Observation
from tests.batches import Agent, job, row

__all__ = ["NODES", "Life", "Run", "Telling", "lives"]

START = 1_790_000_000.0
NODES = ("n1", "n2", "n3")
DAY = 86_400.0


class Run(NamedTuple):
    """One run as it really was; times in unix seconds by the controller's clock."""

    restart_count: int
    number: int
    start: float
    end: float
    fate: str


class Telling(NamedTuple):
    """What one sender says, the place of the run in its life, and whether this names the run's
    start and its restart_count with a hook's authority."""

    place: int
    what: str
    observation: Observation
    is_start: bool


class Life(NamedTuple):
    """The runs of an id, in order, and all that is told of them."""

    runs: Sequence[Run]
    tellings: Sequence[Telling]


READINGS = {
    "two requeues": (0, 1, 2),
    "a requeue and a reuse": (0, 1, 0),
    "two requeues and a reuse": (0, 1, 2, 0),
}
# (final_state, raw_state, exit_code, signal, state_reason of the row)
FATES = {
    "completed": ("completed", "COMPLETED", 0, 0),
    "failed": ("failed", "FAILED", 3, 0),
    "cancelled": ("cancelled", "CANCELLED by 7", 0, 15),
    "timeout": ("failed", "TIMEOUT", 0, 15),
    "requeued": ("cancelled", "REQUEUED", 0, 0),
}


def lives(reading: str, seed: int, job_id: str) -> Life:
    """A life whose lengths, gaps, clocks and gaps of knowledge come from `seed`."""
    source = random.Random(seed)
    counts = READINGS[reading]
    runs: list[Run] = []
    at = START
    for place, count in enumerate(counts):
        is_last = place + 1 == len(counts) or counts[place + 1] == 0
        length = source.choice([60.0, 600.0, 7_000.0, 3 * DAY]) + source.randrange(60)
        fate = source.choice(["completed", "failed", "cancelled", "timeout"])
        number = sum(run.restart_count == count for run in runs)
        runs.append(Run(count, number, at, at + length, fate if is_last else "requeued"))
        # Slurm lets a requeued job wait 2 min; a site may make it seconds. Ids come again in days.
        wait = source.choice([10.0, 121.0, 900.0]) if not is_last else 3 * DAY
        at += length + wait + source.randrange(30)
    tellings = []
    for place, run in enumerate(runs):
        for what, told, is_start in _told(run, job_id, source):
            tellings.append(Telling(place, what, told, is_start))
    return Life(runs, tellings)


def _told(run: Run, job_id: str, source: random.Random) -> Iterator[tuple[str, Observation, bool]]:
    """From 24.11 hooks are given times; before, they have their own clocks and notes."""
    has_times = source.random() < 0.5
    hint = run.restart_count + (run.fate == "requeued")
    yield "PrologSlurmctld", _started(job_id, run, run.start, source="controller"), True
    for number, node in enumerate(NODES):
        clock = source.uniform(-2, 2)
        own_start = run.start + clock + source.uniform(0, 4)
        noted = run.start if has_times else own_start
        yield f"prolog {node}", _started(job_id, run, noted, node=node), True
        start = noted if source.random() < 0.8 else None
        own_end = run.end + clock + source.uniform(0.1, 3)
        end = run.end if has_times else own_end
        knows_state = source.random() < 0.7
        known = source.choice([hint, hint, run.restart_count, None])
        yield (
            f"epilog {node}",
            _finished(job_id, run, start, end, known, knows_state, node=node),
            False,
        )
        for what, told in _agent(run, job_id, node, number, clock, source):
            yield what, told, False
    start = run.start if has_times or run.fate != "requeued" else None
    told = _finished(job_id, run, start, run.end, hint, True, source="controller")
    yield "EpilogSlurmctld", told, False


def _agent(
    run: Run, job_id: str, node: str, number: int, clock: float, source: random.Random
) -> Iterator[tuple[str, Observation]]:
    """An agent sees the cgroup a moment after the start, on a further node whenever it is used."""
    length = run.end - run.start
    late = source.uniform(0, 0.7) * length if number else 0.0
    birth = run.start + clock + 4 + late + source.uniform(0, 8)
    knows: dict[str, Any] = {"restart_count": run.restart_count if source.random() < 0.7 else None}
    knows |= {"started_at": birth if source.random() < 0.8 else None}
    known = job(job_id, uid=1000, user_name="alice", **knows)
    agent = Agent(node, cluster="alpha")
    first = birth + source.uniform(1, 15)
    yield f"agent {node}", _seen(agent, known, first, number)
    if source.random() < 0.5:
        last = run.end + clock - source.uniform(0.1, 3)
        told = known | {"oom_killed": run.fate == "failed", "gone_at": last}
        yield f"agent {node} at the end", _seen(agent, told, last, number)


def _seen(agent: Agent, known: dict[str, Any], at: float, number: int) -> Observation:
    body = agent.batch(jobs=[known], job_sample=[row(at, job=0)])
    batch = parse_batch(body, b"")
    return agents_observation(AgentTold.by(batch, "alpha"), batch.jobs[0], 101 + number)


def _started(job_id: str, run: Run, start: float, **more: Any) -> Observation:
    body = {
        "job_id": job_id,
        "user": "alice",
        "node_list": list(NODES),
        "timestamp": _iso(start + 0.5),
        "start_time": _iso(start),
        "restart_count": run.restart_count,
        "name": f"run of {run.start}",
        "cpu_allocation": 12,
    }
    return _observation(read_started(body | more))


def _finished(
    job_id: str,
    run: Run,
    start: float | None,
    end: float,
    restart_count: int | None,
    knows_state: bool,
    **more: Any,
) -> Observation:
    final, raw, exit_code, signal = FATES[run.fate]
    body: dict[str, Any] = {
        "job_id": job_id,
        "final_state": final if knows_state else "completed",
        "timestamp": _iso(end),
        "exit_code": exit_code,
        "signal": signal if knows_state else 0,
        "restart_count": restart_count,
        "start_time": _iso(start) if start is not None else None,
        "raw_state": raw if knows_state else None,
    }
    return _observation(read_finished(body | more))


def _observation(told: Told) -> Observation:
    return told.observation("alpha")


def _iso(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat()
