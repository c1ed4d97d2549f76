from __future__ import annotations

import pytest

from ingest.bounds import check_cluster, check_node
from tests.unit.ingest.attempts import attempt
from tsobs.errors import Forbidden
from tsobs.routes import Scope
from tsobs.viewer import Viewer


def viewer(node: str | None = None, cluster: str | None = None) -> Viewer:
    return Viewer("t", frozenset({Scope.AGENT}), node=node, cluster=cluster)


@pytest.mark.parametrize(
    ("bound", "named", "may"),
    [
        (None, "n1", True),
        (None, None, True),
        ("n1", "n1", True),
        ("n1", "N1", False),
        ("n1", "n2", False),
        ("n1", None, False),
        ("n1", "", False),
    ],
)
def test_a_token_bound_to_a_node_writes_of_that_one(
    bound: str | None, named: str | None, may: bool
) -> None:
    found = attempt(lambda: check_node(viewer(node=bound), named, "where"))
    if may:
        assert found is None
        return
    assert isinstance(found, Forbidden)
    assert found.details == {"field": "where", "rule": f"must be {bound}"}


@pytest.mark.parametrize(("bound", "may"), [(None, True), ("alpha", True), ("beta", False)])
def test_a_token_bound_to_a_cluster_writes_of_that_one(bound: str | None, may: bool) -> None:
    found = attempt(lambda: check_cluster(viewer(cluster=bound), "alpha"))
    assert isinstance(found, Forbidden) is not may
    if not may:
        assert found.details == {"field": "cluster", "rule": f"must be {bound}"}
