"""The simulated nodes; every name says that they are simulated."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CLUSTER", "GIB", "GPU_MODEL", "Node", "make_nodes"]

CLUSTER = "simulated"
GIB = 1 << 30
GPU_MODEL = "Simulated 80 GB accelerator"

_CPU_NODE = (64, 256 * GIB)
_GPU_NODE = (64, 512 * GIB)
_GPUS = 4
# Of ten nodes two have GPUs, and three take whole-node jobs only: those would wait for ever
# behind small ones.
_GPU_NODES_IN_TEN = 2
_PARALLEL_NODES_IN_TEN = 3


class Node(NamedTuple):
    """One simulated node; `gpus` are the ids of its GPUs."""

    name: str
    partition: str
    cpus: int
    memory_bytes: int
    gpus: tuple[str, ...] = ()


def make_nodes(count: int) -> tuple[Node, ...]:
    """`count` nodes: those of the partitions parallel and batch first, then those with GPUs."""
    with_gpus = count * _GPU_NODES_IN_TEN // 10
    parallel = count * _PARALLEL_NODES_IN_TEN // 10
    nodes = [
        Node(f"sim-cpu-{n:02}", "parallel" if n <= parallel else "batch", *_CPU_NODE)
        for n in range(1, count - with_gpus + 1)
    ]
    nodes += [
        Node(
            f"sim-gpu-{n:02}",
            "gpu",
            *_GPU_NODE,
            tuple(f"GPU-simulated-{n:02}-{gpu}" for gpu in range(_GPUS)),
        )
        for n in range(1, with_gpus + 1)
    ]
    return tuple(nodes)
