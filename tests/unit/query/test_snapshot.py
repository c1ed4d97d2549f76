"""The relations of the catalogue, made of what was read."""

from __future__ import annotations

from typing import Any

from query.catalogue import CATALOGUE
from query.jobcounts import JobCounts
from query.snapshot import Snapshot, relations
from tests.unit.query.columns import answer

NAN = float("nan")
COLUMNS = {
    relation: {
        source.column
        for metric in CATALOGUE
        if metric.relation == relation
        for source in metric.sources
    }
    for relation in ("job", "job_node", "job_gpu", "gpu", "node")
}
LABELS = {
    "job": ("cluster", "job_id", "user_name"),
    "job_node": ("cluster", "job_id", "user_name", "node"),
    "job_gpu": ("cluster", "job_id", "user_name", "node", "gpu", "vendor"),
    "gpu": ("cluster", "node", "gpu", "vendor"),
    "node": ("cluster", "node"),
}


def sent(relation: str, *rows: dict[str, Any]) -> dict[str, Any]:
    """What the statement of a relation gives: unknown but for the values in `rows`."""
    names = {name: (NAN,) for name in COLUMNS[relation]} | {n: ("",) for n in LABELS[relation]}
    known = {name for row in rows for name in row}
    columns = {name: [row.get(name, names.get(name, (NAN,))[0]) for row in rows]
               for name in {*names, *known}}  # fmt: skip
    return answer(**columns)


def job(key: int, **values: Any) -> dict[str, Any]:
    given = {"job_key": key, "started_s": 5.0, "start_s": 5.0, "runtime_s": 60.0}
    return given | {"cluster": "alpha", "job_id": str(key), "user_name": "alice"} | values


def on_node(key: int, node: int = 1, **values: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"job_key": key, "node_id": node, "node": f"n{node}"}
    given |= {"is_waiting": 0, "is_gone": 0}
    return given | {"cluster": "alpha", "job_id": str(key), "user_name": "alice"} | values


EMPTY = Snapshot(
    job=sent("job"),
    job_node=sent("job_node") | answer(is_gone=[], is_waiting=[]),
    job_node_totals=None,
    job_gpu=sent("job_gpu") | answer(share=[], is_waiting=[], age_s=[]),
    job_gpu_totals=None,
    gpu=sent("gpu") | answer(gpu_id=[], interval_s=[]),
    node=sent("node") | answer(node_id=[]),
    counts=JobCounts({"running": 0}, 0),
    last_collect_s=None,
)  # fmt: skip
for _name in ("job_key", "started_s", "start_s", "runtime_s", "node_id"):
    EMPTY.job[_name] = EMPTY.job_node[_name] = EMPTY.job_gpu[_name] = None  # type: ignore[index]


def test_each_relation_of_the_catalogue_is_there() -> None:
    found = relations(EMPTY._replace(counts=JobCounts({"running": 3}, 9), last_collect_s=1.5))
    assert set(found) == {metric.relation for metric in CATALOGUE}
    assert found["job_state"].texts == {"state": ["running"]}
    assert found["job_state"].numbers["jobs"].tolist() == [3.0]
    assert found["service"].numbers["jobs_ever"].tolist() == [9.0]
    assert found["service"].numbers["last_collect_s"].tolist() == [1.5]
    assert not found["job_node"].rows


def test_a_job_that_waits_for_its_user_counts_on_its_node_but_has_no_series() -> None:
    snapshot = EMPTY._replace(
        job=sent("job", job(1)),
        job_node=sent("job_node", on_node(1, is_waiting=1)),
        node=sent("node", {"node_id": 1, "node": "n1"}, {"node_id": 2, "node": "n2"}),
    )
    found = relations(snapshot)
    assert found["node"].numbers["jobs"].tolist() == [1.0, 0.0]
    assert not found["job_node"].rows
    assert not found["job"].rows


def test_a_job_that_is_gone_has_no_series_at_all() -> None:
    held = {"cluster": "alpha", "gpu": "GPU-1", "gpu_id": 4, "is_waiting": 0, "age_s": 1.0}
    snapshot = EMPTY._replace(
        job=sent("job", job(1)),
        job_node=sent("job_node", on_node(1, is_gone=1)),
        job_gpu=sent("job_gpu", {"job_key": 1, "node": "n1", "share": 1.0, **held}),
        gpu=sent("gpu", {"gpu_id": 4, "gpu": "GPU-1", "interval_s": 15.0}),
        node=sent("node", {"node_id": 1, "node": "n1"}),
    )
    found = relations(snapshot)
    assert [found[name].rows for name in ("job", "job_node", "job_gpu", "job_node_gpu")] == [0] * 4
    assert found["node"].numbers["jobs"].tolist() == [0.0]
    alive = relations(snapshot._replace(job_node=sent("job_node", on_node(1))))
    assert [alive[name].rows for name in ("job", "job_node", "job_gpu", "job_node_gpu")] == [1] * 4


def test_a_job_on_two_nodes_is_told_of_once_and_began_once() -> None:
    snapshot = EMPTY._replace(
        job=sent("job", job(2, runtime_s=7.0), job(1)),
        job_node=sent("job_node", on_node(1, 1), on_node(1, 2), on_node(2, 1)),
    )
    found = relations(snapshot)
    assert found["job_node"].numbers["runtime_s"].tolist() == [60.0, 60.0, 7.0]
    assert sorted(found["job"].texts["job_id"]) == ["1", "2"]
