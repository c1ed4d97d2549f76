"""Who runs where and when: a queue for each partition, and nodes that fill and empty."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tsobs.demo.simulation.cluster import Node
from tsobs.demo.simulation.job import Job, Place, Run
from tsobs.demo.simulation.submissions import Submissions

__all__ = ["Passed", "Schedule"]

# Not small: nobody shall take one for a number of something else.
_FIRST_JOB_ID = 100_001


class Passed(NamedTuple):
    """What happened in a span of time; `present` are all runs that had a part of it."""

    started: Sequence[Run]
    ended: Sequence[Run]
    present: Sequence[Run]


@dataclasses.dataclass(slots=True)
class _Stream:
    """Where one user is: how often it submitted, and when it comes again (None: jobs are out)."""

    submitted: int
    wake_at: int | None


class Schedule:
    """The state of the cluster at the time `at`, unix seconds; only `advance` and `power_cut`
    change it."""

    def __init__(self, nodes: Sequence[Node], seed: int, at: int) -> None:
        self._nodes = nodes
        self._submissions = Submissions(nodes, seed)
        self.at = at
        self._next_id = _FIRST_JOB_ID
        self._streams = [
            _Stream(0, at + self._submissions.first_wake_s(n))
            for n in range(len(self._submissions.partitions))
        ]
        self._queue: list[Job] = []
        self.running: list[Run] = []
        """What runs now."""

    def advance(self, until: int) -> Passed:
        """Let time pass."""
        started: list[Run] = []
        ended: list[Run] = []
        present = list(self.running)
        while (at := self._next_change()) is not None and at <= until:
            self.at = at
            ended += self._end_due()
            self._wake_due()
            placed = self._start_fitting()
            started += placed
            present += placed
        self.at = until
        return Passed(started, ended, present)

    def power_cut(self, until: int) -> Passed:
        """All nodes lose power now and come back at `until`; what ran is lost."""
        lost = [run.cut_short(self.at, "node_fail") for run in self.running]
        self.running, self._queue = [], []
        for number, stream in enumerate(self._streams):
            stream.wake_at = until + self._submissions.first_wake_s(number)
        self.at = until
        return Passed([], lost, lost)

    def to_json(self) -> dict[str, Any]:
        """The whole state as plain values."""
        return {
            "at": self.at,
            "next_id": self._next_id,
            "streams": [[stream.submitted, stream.wake_at] for stream in self._streams],
            "queue": [dataclasses.asdict(job) for job in self._queue],
            "running": [run.to_json() for run in self.running],
        }

    @classmethod
    def from_json(cls, nodes: Sequence[Node], seed: int, stored: Mapping[str, Any]) -> Schedule:
        """The schedule behind `to_json`."""
        schedule = cls(nodes, seed, stored["at"])
        schedule._next_id = stored["next_id"]
        schedule._streams = [_Stream(*values) for values in stored["streams"]]
        schedule._queue = [Job(**job) for job in stored["queue"]]
        schedule.running = [Run.from_json(run) for run in stored["running"]]
        return schedule

    def _next_change(self) -> int | None:
        times = [run.end_at for run in self.running]
        times += [stream.wake_at for stream in self._streams if stream.wake_at is not None]
        return min(times, default=None)

    def _end_due(self) -> list[Run]:
        due = sorted(
            (run for run in self.running if run.end_at <= self.at),
            key=lambda run: (run.end_at, run.job.job_id),
        )
        self.running = [run for run in self.running if run.end_at > self.at]
        for stream in sorted({run.job.stream for run in due}):
            if not self._has_jobs(stream):
                state = self._streams[stream]
                state.wake_at = self.at + self._submissions.think_s(stream, state.submitted)
        return due

    def _has_jobs(self, stream: int) -> bool:
        return any(job.stream == stream for job in self._queue) or any(
            run.job.stream == stream for run in self.running
        )

    def _wake_due(self) -> None:
        for number, stream in enumerate(self._streams):
            if stream.wake_at is not None and stream.wake_at <= self.at:
                jobs = self._submissions.submit(number, stream.submitted, self.at, self._next_id)
                self._next_id += len(jobs)
                self._queue += jobs
                stream.submitted += 1
                stream.wake_at = None

    def _start_fitting(self) -> list[Run]:
        """First come, first served; what does not fit yet lets smaller ones pass."""
        placed: list[Run] = []
        waiting: list[Job] = []
        room = _Room(self._nodes, self.running)
        for job in self._queue:
            places = room.take(job)
            if places is None:
                waiting.append(job)
            else:
                placed.append(Run(job, self.at, places))
        self._queue = waiting
        self.running += placed
        return placed


class _Room:
    """What the nodes have free."""

    def __init__(self, nodes: Sequence[Node], running: Sequence[Run]) -> None:
        self._partitions = [node.partition for node in nodes]
        self._cpus = [node.cpus for node in nodes]
        self._memory = [node.memory_bytes for node in nodes]
        self._gpus = [set(range(len(node.gpus))) for node in nodes]
        for run in running:
            for place in run.places:
                self._occupy(run.job, place)

    def take(self, job: Job) -> tuple[Place, ...] | None:
        """The emptiest nodes that the job fits on, now taken; None when there are too few."""
        fitting = [
            n
            for n, partition in enumerate(self._partitions)
            if partition == job.kind.partition
            and self._cpus[n] >= job.cpus
            and self._memory[n] >= job.memory_bytes
            and len(self._gpus[n]) >= job.gpus
        ]
        if len(fitting) < job.nodes:
            return None
        chosen = sorted(fitting, key=lambda n: (-self._cpus[n], n))[: job.nodes]
        places = tuple(Place(n, tuple(sorted(self._gpus[n])[: job.gpus])) for n in sorted(chosen))
        for place in places:
            self._occupy(job, place)
        return places

    def _occupy(self, job: Job, place: Place) -> None:
        self._cpus[place.node] -= job.cpus
        self._memory[place.node] -= job.memory_bytes
        self._gpus[place.node] -= set(place.gpus)
