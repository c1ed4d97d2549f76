"""What the simulated users run, declared as one table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

__all__ = ["KINDS", "USERS", "Fate", "Kind", "Rhythm", "User"]

Fate = Literal["completed", "failed", "out_of_memory", "timeout", "cancelled", "node_fail"]
Rhythm = Literal["steady", "phases", "serial", "interactive", "epochs", "bursts", "idle"]

# What is not said here completes.
_CALM: Mapping[Fate, float] = MappingProxyType({"failed": 0.04, "cancelled": 0.03})


class User(NamedTuple):
    """An invented person."""

    name: str
    uid: int
    account: str


class Kind(NamedTuple):
    """One kind of job. Ranges are (lowest, highest); ratios are of what was asked for."""

    name: str
    partition: str
    weight: int
    cpus: tuple[int, ...]  # a node
    memory_gib: tuple[int, int]  # a node
    minutes: tuple[int, int]
    cpu_ratio: float
    rhythm: Rhythm
    memory_ratio: float
    nodes: tuple[int, ...] = (1,)
    gpus: tuple[int, ...] = (0,)  # a node
    gpu_ratio: float = 0.0
    gpu_rhythm: Rhythm = "idle"
    gpu_memory_ratio: float = 0.0
    read_bytes_per_s: float = 2e6
    write_bytes_per_s: float = 1e6
    network_bytes_per_s: float = 0.0  # a node, each way
    tasks: tuple[int, ...] = (1,)
    fates: Mapping[Fate, float] = _CALM


_ALL = (
    Kind(
        "align-reads", "batch", 5, (8, 16), (16, 48), (20, 90), 0.82, "phases", 0.6,
        read_bytes_per_s=6e7, write_bytes_per_s=1.5e7,
        fates={"out_of_memory": 0.04, "failed": 0.05, "cancelled": 0.04},
    ),
    Kind(
        "assemble-genome", "batch", 2, (16, 32), (64, 120), (40, 180), 0.7, "steady", 0.8,
        read_bytes_per_s=2e7, fates={"out_of_memory": 0.45, "failed": 0.05},
    ),
    Kind(
        "param-sweep", "batch", 1, (2, 4), (4, 8), (8, 25), 0.96, "steady", 0.35,
        tasks=(4, 6), fates={"failed": 0.06},
    ),
    Kind(
        "monte-carlo", "batch", 3, (8,), (8, 16), (30, 240), 0.97, "steady", 0.3,
        fates={"timeout": 0.25, "cancelled": 0.05},
    ),
    Kind("matlab-fit", "batch", 2, (32,), (32, 64), (30, 120), 1.0, "serial", 0.25),
    Kind(
        "jupyter", "batch", 3, (4,), (16, 32), (60, 300), 0.5, "interactive", 0.4,
        fates={"timeout": 0.4, "cancelled": 0.3},
    ),
    Kind(
        "ci-build", "batch", 4, (8,), (8, 16), (2, 8), 0.75, "phases", 0.5,
        write_bytes_per_s=3e7, fates={"failed": 0.25},
    ),
    Kind(
        "cfd-wing", "parallel", 3, (64,), (96, 180), (40, 200), 0.95, "steady", 0.7,
        nodes=(2, 3, 4), network_bytes_per_s=4e8, write_bytes_per_s=8e6,
        fates={"timeout": 0.12, "failed": 0.05, "cancelled": 0.08},
    ),
    Kind(
        "md-membrane", "parallel", 2, (64,), (32, 64), (30, 150), 0.93, "steady", 0.4,
        nodes=(1, 2), network_bytes_per_s=1.5e8,
    ),
    Kind(
        "weather-members", "parallel", 1, (64,), (64, 128), (20, 60), 0.88, "phases", 0.6,
        network_bytes_per_s=6e7, write_bytes_per_s=4e7, tasks=(3, 4), fates={"failed": 0.08},
    ),
    Kind(
        "train-vision", "gpu", 4, (8, 16), (48, 96), (40, 240), 0.55, "epochs", 0.6,
        gpus=(1, 2), gpu_ratio=0.93, gpu_rhythm="epochs", gpu_memory_ratio=0.7,
        read_bytes_per_s=1.2e8, fates={"cancelled": 0.1, "timeout": 0.1, "failed": 0.08},
    ),
    Kind(
        "train-llm", "gpu", 2, (32,), (200, 400), (90, 300), 0.3, "epochs", 0.5,
        nodes=(1, 2), gpus=(4,), gpu_ratio=0.97, gpu_rhythm="epochs", gpu_memory_ratio=0.93,
        network_bytes_per_s=9e8, write_bytes_per_s=3e7,
        fates={"failed": 0.15, "timeout": 0.15},
    ),
    Kind(
        "infer-batch", "gpu", 3, (8,), (24, 48), (20, 90), 0.35, "bursts", 0.5,
        gpus=(1,), gpu_ratio=0.6, gpu_rhythm="bursts", gpu_memory_ratio=0.45,
        fates={"out_of_memory": 0.08, "failed": 0.05},
    ),
    Kind(
        "preprocess-only", "gpu", 3, (8, 16), (32, 96), (40, 200), 0.8, "phases", 0.5,
        gpus=(1, 2), gpu_memory_ratio=0.006, read_bytes_per_s=8e7,
        fates={"cancelled": 0.25, "timeout": 0.2},
    ),
    Kind(
        "gpu-notebook", "gpu", 2, (4,), (16, 32), (60, 240), 0.4, "interactive", 0.4,
        gpus=(1,), gpu_ratio=0.5, gpu_rhythm="interactive", gpu_memory_ratio=0.15,
        fates={"timeout": 0.45, "cancelled": 0.3},
    ),
)  # fmt: skip

KINDS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in _ALL})
"""Kinds by name."""

USERS = tuple(
    User(name, 20_001 + n, account)
    for n, (name, account) in enumerate(
        (
            ("amira", "genomics"),
            ("bjorn", "physics"),
            ("chidi", "ml"),
            ("daria", "climate"),
            ("emeka", "genomics"),
            ("freya", "engineering"),
            ("goran", "ml"),
            ("hana", "physics"),
            ("ines", "engineering"),
            ("jamal", "climate"),
            ("keiko", "ml"),
            ("lucia", "genomics"),
        )
    )
)
"""Invented people; nobody is meant."""
