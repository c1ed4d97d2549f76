from __future__ import annotations

from collections import Counter

import pytest

from tsobs.demo.simulation.cluster import make_nodes


def test_twenty_nodes_are_of_three_sorts() -> None:
    nodes = make_nodes(20)
    assert Counter(node.partition for node in nodes) == {"parallel": 6, "batch": 10, "gpu": 4}
    assert sum(len(node.gpus) for node in nodes) == 16


@pytest.mark.parametrize("count", [1, 2, 5, 20, 200])
def test_every_name_is_its_own_and_says_that_it_is_simulated(count: int) -> None:
    nodes = make_nodes(count)
    names = [node.name for node in nodes]
    gpus = [gpu for node in nodes for gpu in node.gpus]
    assert len(nodes) == len(set(names)) == count
    assert len(gpus) == len(set(gpus))
    assert all(name.startswith("sim-") for name in names)
    assert all("simulated" in gpu for gpu in gpus)
    assert "batch" in {node.partition for node in nodes}
