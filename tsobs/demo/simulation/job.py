"""A simulated job, and one run of it on some nodes; plain values that JSON can hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tsobs.demo.simulation.kinds import KINDS, Fate, Kind

__all__ = ["Job", "Place", "Run"]


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """What was submitted, and what will become of it. Times are unix seconds, all are whole.

    `cpus`, `memory_bytes` and `gpus` are for each node; `run_s` is how long it will run, and
    `salt` what makes its curves its own.
    """

    job_id: int
    kind_name: str
    stream: int
    user: int
    nodes: int
    cpus: int
    memory_bytes: int
    gpus: int
    submit_at: int
    time_limit_s: int
    run_s: int
    fate: Fate
    exit_code: int
    signal: int
    salt: int
    array_job_id: int | None = None
    array_task_id: int | None = None

    @property
    def kind(self) -> Kind:
        """Its row in the table of kinds."""
        return KINDS[self.kind_name]


class Place(NamedTuple):
    """A node that a run has a part of: the node's index, and the indexes of the GPUs it holds."""

    node: int
    gpus: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """A job that was given its nodes."""

    job: Job
    start_at: int
    places: tuple[Place, ...]

    @property
    def end_at(self) -> int:
        """When it ends, unix seconds."""
        return self.start_at + self.job.run_s

    def cut_short(self, at: int, fate: Fate) -> Run:
        """The same run, ended by something else at `at`."""
        job = dataclasses.replace(
            self.job, run_s=at - self.start_at, fate=fate, exit_code=0, signal=0
        )
        return dataclasses.replace(self, job=job)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "job": dataclasses.asdict(self.job),
            "start_at": self.start_at,
            "places": [[place.node, list(place.gpus)] for place in self.places],
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Run:
        """The run behind `to_json`."""
        places: Sequence[Any] = stored["places"]
        return cls(
            Job(**stored["job"]),
            stored["start_at"],
            tuple(Place(node, tuple(gpus)) for node, gpus in places),
        )
