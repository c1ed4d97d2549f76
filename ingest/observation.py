"""What somebody told of one job, as the database takes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import orjson

__all__ = ["Observation", "columns_of", "order_of"]


class Observation(NamedTuple):
    """One telling: facts by column of `job`, the time it speaks of, who told it and the rank of
    that source (the state may have one of its own). `restart_hint` is the run's restart_count or
    the next; `node_id` the node whose agent tells."""

    cluster: str
    scheduler: str
    job_id: str
    restart_count: int | None
    at: datetime
    is_start: bool
    rank: int
    state_rank: int
    facts: Mapping[str, Any]
    kind: str
    actor: str
    source: str
    correlation_id: str | None = None
    payload: str | None = None
    restart_hint: int | None = None
    node_id: int | None = None


def order_of(told: Observation) -> tuple[str, str, str]:
    """Transactions lock ids in this order, so that no two wait for each other in a circle."""
    return (told.cluster, told.scheduler, told.job_id)


def columns_of(group: Iterable[Observation]) -> list[list[Any]]:
    """Arguments of the statement `observe_jobs`: one list a parameter."""
    rows = [told._replace(facts=orjson.dumps(told.facts).decode()) for told in group]  # type: ignore[arg-type]
    return [list(column) for column in zip(*rows, strict=True)]
