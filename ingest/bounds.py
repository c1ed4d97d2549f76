"""What a bound token may write of: its own cluster, its own node."""

from __future__ import annotations

from tsobs.errors import Forbidden
from tsobs.viewer import Viewer

__all__ = ["check_cluster", "check_node"]


def check_cluster(viewer: Viewer, cluster: str) -> None:
    """Raises Forbidden for what is not of the cluster that the token is bound to."""
    if viewer.cluster is not None and viewer.cluster != cluster:
        raise Forbidden(
            f"this token writes for cluster {viewer.cluster} only",
            field="cluster",
            rule=f"must be {viewer.cluster}",
        )


def check_node(viewer: Viewer, node: str | None, field: str) -> None:
    """Raises Forbidden for what is not of the node that the token is bound to, or says of none;
    `field` is where a node is named."""
    if viewer.node is not None and viewer.node != node:
        raise Forbidden(
            f"this token writes for node {viewer.node} only",
            field=field,
            rule=f"must be {viewer.node}",
        )
