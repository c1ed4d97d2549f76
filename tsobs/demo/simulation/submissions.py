"""What a simulated user submits next: from seed, user and number alone, so always the same."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from tsobs.demo.simulation.cluster import GIB, Node
from tsobs.demo.simulation.job import Job
from tsobs.demo.simulation.kinds import KINDS, USERS, Fate, Kind

__all__ = ["Submissions"]

_MINUTE = 60
_LIMITS_S = tuple(minutes * _MINUTE for minutes in (5, 10, 20, 30, 60, 120, 240, 480, 720, 1440))
# How many users keep jobs in a partition, for each of its nodes.
_STREAMS_PER_NODE = {"batch": 3.0, "parallel": 0.7, "gpu": 2.5}
_THINK_S = {"batch": 9 * _MINUTE, "parallel": 15 * _MINUTE, "gpu": 12 * _MINUTE}
_LONGEST_THINK_S = 3600
# At the start they do not come all at once.
_FIRST_WAKE_S = 20 * _MINUTE
_SIGKILL, _SIGSEGV, _SIGTERM = 9, 11, 15
# Share of the planned time after which an ending other than success comes.
_EARLY: dict[Fate, tuple[float, float]] = {
    "failed": (0.02, 0.6),
    "out_of_memory": (0.3, 1.0),
    "cancelled": (0.05, 0.9),
}


class Submissions:
    """The users of a cluster; each submits, waits for the end, thinks, and submits again."""

    def __init__(self, nodes: Sequence[Node], seed: int) -> None:
        self._seed = seed
        self._sizes = {name: sum(n.partition == name for n in nodes) for name in _THINK_S}
        self.partitions = tuple(
            name
            for name, size in self._sizes.items()
            for _ in range(math.ceil(size * _STREAMS_PER_NODE[name]))
        )
        """The partition of each user's stream of jobs."""

    def first_wake_s(self, stream: int) -> int:
        """How long after the beginning a stream comes to life, seconds."""
        return self._random(stream, "first").randrange(_FIRST_WAKE_S)

    def think_s(self, stream: int, number: int) -> int:
        """How long its user thinks after submission `number` has ended, seconds."""
        mean_s = _THINK_S[self.partitions[stream]]
        drawn = self._random(stream, f"think {number}").expovariate(1 / mean_s)
        return 1 + min(int(drawn), _LONGEST_THINK_S)

    def submit(self, stream: int, number: int, at: int, first_id: int) -> list[Job]:
        """Submission `number` of a stream: one job, or the tasks of an array."""
        draw = self._random(stream, f"submit {number}")
        partition = self.partitions[stream]
        kinds = [kind for kind in KINDS.values() if kind.partition == partition]
        [kind] = draw.choices(kinds, [kind.weight for kind in kinds])
        tasks = draw.choice(kind.tasks)
        cpus = draw.choice(kind.cpus)
        memory_bytes = draw.randint(*kind.memory_gib) * GIB
        nodes = min(draw.choice(kind.nodes), self._sizes[partition])
        gpus = draw.choice(kind.gpus)
        planned_s = _between(draw, kind)
        jobs = []
        for task in range(tasks):
            fate = _fate(draw, kind)
            run_s, limit_s = _duration(draw, fate, round(planned_s * draw.uniform(0.85, 1.15)))
            exit_code, signal = _exit(draw, fate)
            jobs.append(
                Job(
                    job_id=first_id + task,
                    kind_name=kind.name,
                    stream=stream,
                    user=stream % len(USERS),
                    nodes=nodes,
                    cpus=cpus,
                    memory_bytes=memory_bytes,
                    gpus=gpus,
                    submit_at=at,
                    time_limit_s=limit_s,
                    run_s=run_s,
                    fate=fate,
                    exit_code=exit_code,
                    signal=signal,
                    salt=draw.getrandbits(32),
                    array_job_id=first_id if tasks > 1 else None,
                    array_task_id=task if tasks > 1 else None,
                )
            )
        return jobs

    def _random(self, stream: int, what: str) -> random.Random:
        # From a text, so that it is the same on every machine.
        return random.Random(f"{self._seed}/{stream}/{what}")


def _between(draw: random.Random, kind: Kind) -> int:
    """Seconds, short ones as often as long ones on a logarithmic scale."""
    low, high = kind.minutes
    stretch: float = (high / low) ** draw.random()
    return round(low * _MINUTE * stretch)


def _fate(draw: random.Random, kind: Kind) -> Fate:
    dice = draw.random()
    for fate, share in kind.fates.items():
        dice -= share
        if dice < 0:
            return fate
    return "completed"


def _duration(draw: random.Random, fate: Fate, planned_s: int) -> tuple[int, int]:
    """How long it runs and its time limit, seconds."""
    if fate == "timeout":
        limit_s = max((limit for limit in _LIMITS_S if limit <= planned_s), default=_LIMITS_S[0])
        return limit_s, limit_s
    limit_s = min(limit for limit in _LIMITS_S if limit >= 1.2 * planned_s)
    if fate in _EARLY:
        return max(20, round(planned_s * draw.uniform(*_EARLY[fate]))), limit_s
    return planned_s, limit_s


def _exit(draw: random.Random, fate: Fate) -> tuple[int, int]:
    """Exit code and signal."""
    match fate:
        case "failed":
            return draw.choice(((1, 0), (1, 0), (2, 0), (0, _SIGSEGV)))
        case "out_of_memory":
            return 0, _SIGKILL
        case "cancelled" | "timeout":
            return 0, _SIGTERM
        case _:
            return 0, 0
