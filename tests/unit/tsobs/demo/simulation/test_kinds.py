from __future__ import annotations

import pytest

from tsobs.demo.simulation.cluster import GIB, make_nodes
from tsobs.demo.simulation.kinds import KINDS, USERS, Kind

SIZES = {node.partition: node for node in make_nodes(20)}


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_a_kind_fits_the_nodes_of_its_partition(kind: Kind) -> None:
    node = SIZES[kind.partition]
    assert max(kind.cpus) <= node.cpus
    assert max(kind.memory_gib) * GIB <= node.memory_bytes
    assert max(kind.gpus) <= len(node.gpus)
    assert sum(kind.fates.values()) < 1
    assert kind.minutes[0] < kind.minutes[1]
    assert 0 < kind.cpu_ratio <= 1
    assert 0 < kind.memory_ratio <= 1


def test_there_is_something_of_everything() -> None:
    fates = {fate for kind in KINDS.values() for fate in kind.fates}
    assert fates == {"failed", "cancelled", "out_of_memory", "timeout"}
    assert any(max(kind.nodes) > 1 for kind in KINDS.values())
    assert any(max(kind.tasks) > 1 for kind in KINDS.values())
    assert any(max(kind.gpus) and not kind.gpu_ratio for kind in KINDS.values())


def test_users_are_different_people() -> None:
    assert len({user.uid for user in USERS}) == len({user.name for user in USERS}) == len(USERS)
