from __future__ import annotations

import copy
import hashlib
import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.batch import (
    MAX_ALIASES,
    MAX_GPUS,
    MAX_JOBS,
    MAX_ROWS,
    Batch,
    Gpu,
    Job,
    Node,
    parse_batch,
)
from tests.batches import Agent, job, json_values, places, replaced, row
from tests.unit.ingest.attempts import attempt
from tsobs.errors import InvalidRequest

AT = 1_700_000_000.0


def parsed(body: Any) -> Batch:
    return parse_batch(body, json.dumps(body).encode())


def whole() -> dict[str, Any]:
    """A batch in which everything that can be said is said."""
    return Agent("n1", cluster="alpha").batch(
        jobs=[
            job(
                "12",
                started_at=AT,
                restart_count=0,
                user_name="alice",
                uid=1000,
                cpus=4.0,
                memory_bytes=2**33,
                gone_at=AT + 60,
                oom_killed=True,
                name="burn",
                account="physics",
                partition="debug",
                array_job_id="10",
                array_task_id="2",
            ),
            job("13", started_at=None),
        ],
        gpus=[
            {"uuid": "GPU-0", "vendor": "nvidia", "model": "H100", "memory_total_bytes": 8e10},
            {"uuid": "MIG-1", "parent_uuid": "GPU-0"},
        ],
        job_sample=[
            row(AT, job=0, cpu_user_s=1.5, memory_used_bytes=2**30),
            row(AT, job=1, cpu_user_s=None),
        ],
        gpu_sample=[
            row(AT, gpu=0, job=1, share=0.5, energy_j=9.0),
            row(AT, gpu=0, job=None, share=0.5, energy_j=9.0),
            row(AT, gpu=1, job=0, share=1, utilization_ratio=0.25),
        ],
        node_sample=[row(AT, cpu_idle_s=3, load1=0.5)],
    )


def test_everything_said_is_read() -> None:
    body = whole()
    text = json.dumps(body).encode()
    batch = parse_batch(body, text)
    assert batch.stream == uuid.UUID(body["stream"])
    assert (batch.seq, batch.machine_id, batch.agent_version) == (1, "machine of n1", "0.1.0")
    assert batch.hash == hashlib.sha256(text).digest()[:16]
    assert batch.cluster == "alpha"
    assert batch.node == Node("n1", ("n1.example.org",))
    first, second = batch.jobs
    assert first[:10] == ("slurm", "12", 0, AT, "alice", 1000, 4.0, 2**33, AT + 60, True)
    assert first[10:] == ("burn", "physics", "debug", "10", "2")
    assert second == Job("slurm", "13", None, None, None, None, None, None, None, None)
    assert batch.gpus == (
        Gpu("GPU-0", "nvidia", "H100", None, 8e10),
        Gpu("MIG-1", None, None, "GPU-0", None),
    )
    assert batch.rows == {"job_sample": 2, "gpu_sample": 3, "node_sample": 1}
    assert list(batch.tables["gpu_sample"]["job"]) == [1, None, 0]
    assert list(batch.tables["job_sample"]["cpu_user_s"]) == [1.5, None]
    assert batch.ignored == ()


def test_all_but_the_stream_the_seq_and_the_node_may_be_missing() -> None:
    batch = parsed({"stream": "0" * 32, "seq": 1, "machine_id": "m", "node": {"name": "n"}})
    assert (batch.cluster, batch.agent_version, batch.node.aliases) == (None, None, ())
    assert (batch.jobs, batch.gpus, batch.rows) == ((), (), {})


def test_null_is_the_same_as_missing() -> None:
    body = {"stream": "0" * 32, "seq": 1, "machine_id": "m", "node": {"name": "n", "aliases": None}}
    names = ("cluster", "agent_version", "jobs", "gpus", "tables", "interval_s")
    assert parsed(body | dict.fromkeys(names)).rows == {}


def test_the_hash_is_of_the_text() -> None:
    body = whole()
    loose, tight = json.dumps(body), json.dumps(body, separators=(",", ":"))
    hashes = [parse_batch(body, t.encode()).hash for t in (loose, tight, tight)]
    assert hashes[0] != hashes[1] == hashes[2]


# What breaks the shape: (path, what is there instead, field, a part of the rule). `...` removes it.
REFUSED: list[tuple[tuple[str | int, ...], Any, str, str]] = [
    ((), [], "body", "an object"),
    ((), None, "body", "an object"),
    ((), "text", "body", "an object"),
    (("stream",), ..., "stream", "32 lowercase"),
    (("stream",), 7, "stream", "32 lowercase"),
    (("stream",), "A" * 32, "stream", "32 lowercase"),
    (("stream",), "a" * 31, "stream", "32 lowercase"),
    (("stream",), "a" * 33, "stream", "32 lowercase"),
    (("stream",), "a" * 32 + "\n", "stream", "32 lowercase"),
    (("stream",), "٣" * 32, "stream", "32 lowercase"),
    (("seq",), ..., "seq", "integer"),
    (("seq",), 0, "seq", "integer"),
    (("seq",), -1, "seq", "integer"),
    (("seq",), 1.0, "seq", "integer"),
    (("seq",), "1", "seq", "integer"),
    (("seq",), True, "seq", "integer"),
    (("seq",), 2**62, "seq", "integer"),
    (("seq",), float("inf"), "seq", "integer"),
    (("machine_id",), ..., "machine_id", "a text"),
    (("machine_id",), "", "machine_id", "a text"),
    (("machine_id",), "x" * 256, "machine_id", "a text"),
    (("machine_id",), "a\x00", "machine_id", "a text"),
    (("agent_version",), 1, "agent_version", "a text"),
    (("cluster",), "", "cluster", "a text"),
    (("cluster",), {}, "cluster", "a text"),
    (("node",), ..., "node", "an object"),
    (("node",), "n1", "node", "an object"),
    (("node", "name"), ..., "node.name", "a text"),
    (("node", "name"), None, "node.name", "a text"),
    (("node", "name"), ["n1"], "node.name", "a text"),
    (("node", "aliases"), "n1", "node.aliases", "a list"),
    (("node", "aliases"), {}, "node.aliases", "a list"),
    (("node", "aliases"), False, "node.aliases", "a list"),
    (("node", "aliases"), [1], "node.aliases", "a text"),
    (("node", "aliases"), ["a"] * (MAX_ALIASES + 1), "node.aliases", "at most"),
    (("jobs",), [], "jobs", "an object"),
    (("jobs",), {}, "jobs.job_id", "a list"),
    (("jobs",), {"job_id": []}, "jobs.scheduler", "a list"),
    (("jobs", "job_id"), ..., "jobs.job_id", "a list"),
    (("jobs", "job_id"), "12", "jobs.job_id", "a list"),
    (("jobs", "job_id"), ["12"], "jobs.scheduler", "a list of 1 values"),
    (("jobs", "job_id"), ["12", None], "jobs.scheduler and jobs.job_id", "known"),
    (("jobs", "job_id"), [12, 13], "jobs.job_id", "texts"),
    (("jobs", "job_id"), ["12", ""], "jobs.job_id", "a text"),
    (("jobs", "scheduler"), ..., "jobs.scheduler and jobs.job_id", "known"),
    (("jobs", "scheduler", 0), "x" * 65, "jobs.scheduler", "1 to 64"),
    (("jobs", "scheduler", 0), None, "jobs.scheduler and jobs.job_id", "known"),
    (("jobs", "uid"), [1000], "jobs.uid", "a list of 2 values"),
    (("jobs", "uid"), [1000] * 3, "jobs.uid", "a list of 2 values"),
    (("jobs", "uid", 0), 1000.5, "jobs.uid", "integers"),
    (("jobs", "uid", 0), "1000", "jobs.uid", "numbers"),
    (("jobs", "uid", 0), True, "jobs.uid", "numbers"),
    (("jobs", "uid", 0), 2**64, "jobs.uid", "integers"),
    (("jobs", "uid", 0), float("inf"), "jobs.uid", "integers"),
    (("jobs", "name", 0), "x" * 256, "jobs.name", "a text"),
    (("jobs", "account", 0), 5, "jobs.account", "texts"),
    (("jobs", "partition"), ["debug"], "jobs.partition", "a list of 2 values"),
    (("jobs", "array_job_id", 0), "", "jobs.array_job_id", "a text"),
    (("jobs", "array_task_id", 0), 2, "jobs.array_task_id", "texts"),
    (("jobs", "restart_count", 0), 2**31, "jobs.restart_count", "integers"),
    (("jobs", "restart_count", 0), -1, "jobs.restart_count", "integers"),
    (("jobs", "restart_count", 0), 0.5, "jobs.restart_count", "integers"),
    (("jobs", "started_at", 0), -1, "jobs.started_at", "unix seconds"),
    (("jobs", "started_at", 0), 1e11, "jobs.started_at", "unix seconds"),
    (("jobs", "started_at", 0), float("inf"), "jobs.started_at", "unix seconds"),
    (("jobs", "started_at", 0), "2024-01-01T00:00:00Z", "jobs.started_at", "numbers"),
    (("jobs", "gone_at", 0), 1e300, "jobs.gone_at", "unix seconds"),
    (("jobs", "gone_at", 0), True, "jobs.gone_at", "numbers"),
    (("jobs", "cpus", 0), -4.0, "jobs.cpus", "a number"),
    (("jobs", "memory_bytes", 0), 1e19, "jobs.memory_bytes", "a number"),
    (("jobs", "oom_killed", 0), 1, "jobs.oom_killed", "booleans"),
    (("jobs", "oom_killed", 0), "true", "jobs.oom_killed", "booleans"),
    (("jobs", "user_name", 0), "a\x00b", "jobs.user_name", "a text"),
    (("jobs", "user_name", 0), ["alice"], "jobs.user_name", "texts"),
    (("gpus",), 3, "gpus", "an object"),
    (("gpus", "uuid"), ..., "gpus.uuid", "a list"),
    (("gpus", "uuid", 0), None, "gpus.uuid", "known"),
    (("gpus", "uuid"), ["GPU-0"], "gpus.vendor", "a list of 1 values"),
    (("gpus", "model", 0), 100, "gpus.model", "texts"),
    (("gpus", "memory_total_bytes", 0), -1, "gpus.memory_total_bytes", "a number"),
    (("tables",), [], "tables", "an object"),
    (("tables", "node_sample"), None, "node_sample", "an object"),
    (("tables", "node_sample"), [], "node_sample", "an object"),
    (("tables", "node_sample"), {}, "node_sample.time", "a list"),
    (("tables", "node_sample", "time"), ..., "node_sample.time", "a list"),
    (("tables", "node_sample", "time"), AT, "node_sample.time", "a list"),
    (("tables", "node_sample", "time"), [], "node_sample.interval_s", "a list of 0 values"),
    (("tables", "node_sample", "time"), [AT] * 2, "node_sample.interval_s", "a list of 2 values"),
    (("tables", "node_sample", "time", 0), None, "node_sample.time", "numbers"),
    (("tables", "node_sample", "time", 0), "now", "node_sample.time", "numbers"),
    (("tables", "node_sample", "time", 0), True, "node_sample.time", "numbers"),
    (("tables", "node_sample", "interval_s"), ..., "node_sample.interval_s", "a list of 1"),
    (("tables", "node_sample", "interval_s", 0), None, "node_sample.interval_s", "numbers"),
    (("tables", "node_sample", "load1"), 0.5, "node_sample.load1", "a list of 1 values"),
    (("tables", "node_sample", "load1"), [], "node_sample.load1", "a list of 1 values"),
    (("tables", "node_sample", "load1"), {"0": 0.5}, "node_sample.load1", "a list of 1 values"),
    (("tables", "node_sample", "load1"), "1", "node_sample.load1", "a list of 1 values"),
    (("tables", "node_sample", "load1", 0), "0.5", "node_sample.load1", "numbers"),
    (("tables", "node_sample", "load1", 0), False, "node_sample.load1", "numbers"),
    (("tables", "node_sample", "load1", 0), [0.5], "node_sample.load1", "numbers"),
    (("tables", "job_sample", "job"), ..., "job_sample.job", "a list of 2 values"),
    (("tables", "job_sample", "job", 0), 2, "job_sample.job", "an index from 0 to 1"),
    (("tables", "job_sample", "job", 0), -1, "job_sample.job", "an index from 0 to 1"),
    (("tables", "job_sample", "job", 0), 2**70, "job_sample.job", "an index"),
    (("tables", "job_sample", "job", 0), 0.0, "job_sample.job", "indexes"),
    (("tables", "job_sample", "job", 0), None, "job_sample.job", "indexes"),
    (("tables", "job_sample", "job", 0), True, "job_sample.job", "indexes"),
    (("tables", "job_sample", "job", 0), "12", "job_sample.job", "indexes"),
    (("tables", "job_sample", "cpu_user_s"), [1.0], "job_sample.cpu_user_s", "a list of 2"),
    (("tables", "gpu_sample", "gpu"), ..., "gpu_sample.gpu", "a list of 3 values"),
    (("tables", "gpu_sample", "gpu", 0), None, "gpu_sample.gpu", "indexes"),
    (("tables", "gpu_sample", "gpu", 0), 2, "gpu_sample.gpu", "an index from 0 to 1"),
    (("tables", "gpu_sample", "job", 0), 9, "gpu_sample.job", "an index from 0 to 1"),
    (("tables", "gpu_sample", "job", 0), False, "gpu_sample.job", "indexes or null"),
    (("tables", "gpu_sample", "share"), ..., "gpu_sample.share", "a list of 3 values"),
    (("tables", "gpu_sample", "share", 0), None, "gpu_sample.share", "numbers"),
]


@pytest.mark.parametrize(
    ("path", "instead", "field", "rule"),
    REFUSED,
    ids=[
        f"{'.'.join(map(str, path)) or 'body'}={instead!r:.20}" for path, instead, _, _ in REFUSED
    ],
)
def test_a_broken_shape_names_field_and_rule(
    path: tuple[str | int, ...], instead: Any, field: str, rule: str
) -> None:
    body = whole()
    if instead is ...:
        holder: Any = body
        for key in path[:-1]:
            holder = holder[key]
        del holder[path[-1]]
    else:
        body = replaced(body, path, instead)
    with pytest.raises(InvalidRequest) as refused:
        parsed(body)
    assert refused.value.details["field"] == field
    assert rule in refused.value.details["rule"]
    assert refused.value.message == f"{field} must be {refused.value.details['rule']}"


def test_rows_that_speak_of_jobs_need_a_section_of_jobs() -> None:
    body = whole()
    del body["jobs"]
    with pytest.raises(InvalidRequest) as refused:
        parsed(body)
    assert refused.value.details["field"] == "job_sample.job"


@pytest.mark.parametrize("uid", [0, 65534, 2**31, 2**32 - 2, 2**32 - 1])
def test_every_user_id_of_linux_is_taken(uid: int) -> None:
    assert parsed(replaced(whole(), ("jobs", "uid", 0), uid)).jobs[0].uid == uid


def test_whole_numbers_may_be_written_with_a_point() -> None:
    body = replaced(whole(), ("jobs", "uid", 0), 1000.0)
    assert (parsed(body).jobs[0].uid, type(parsed(body).jobs[0].uid)) == (1000, int)


def test_there_are_only_so_many_rows_jobs_and_gpus() -> None:
    agent = Agent()
    rows = [row(AT)] * MAX_ROWS
    assert parsed(agent.batch(node_sample=rows)).rows == {"node_sample": MAX_ROWS}
    job_rows = [row(AT, job=0)] * 2
    too_many: list[tuple[str, dict[str, Any]]] = [
        ("node_sample", agent.batch(node_sample=[*rows, row(AT)])),
        ("tables", agent.batch(jobs=[job()], node_sample=rows, job_sample=job_rows)),
        ("jobs", agent.batch(jobs=[job(str(n)) for n in range(MAX_JOBS + 1)])),
        ("gpus", agent.batch(gpus=[{"uuid": str(n)} for n in range(MAX_GPUS + 1)])),
    ]
    for field, body in too_many:
        with pytest.raises(InvalidRequest, match="at most") as refused:
            parsed(body)
        assert refused.value.details["field"] == field


def test_what_is_not_known_is_ignored_and_named() -> None:
    body = whole()
    body["colour"] = {"deep": [1]}
    body["node"]["rack"] = "r1"
    body["jobs"]["flavour"] = ["a", "b"]
    body["gpus"]["flavour"] = 7
    body["tables"]["fan_sample"] = "whatever"
    body["tables"]["node_sample"]["noise_db"] = [1, 2, 3]
    body["tables"]["job_sample"]["gpu"] = "a key of another table"
    batch = parsed(body)
    alike = parsed(whole())
    assert (batch.node, batch.jobs, batch.gpus) == (alike.node, alike.jobs, alike.gpus)
    assert (batch.tables, batch.rows) == (alike.tables, alike.rows)
    assert sorted(batch.ignored) == [
        "colour",
        "gpus.flavour",
        "job_sample.gpu",
        "jobs.flavour",
        "node.rack",
        "node_sample.noise_db",
        "tables.fan_sample",
    ]


def test_what_is_ignored_is_named_in_short() -> None:
    body = whole()
    long = "x" * 100_000
    body[long] = body["node"][long] = body["jobs"][long] = body["tables"][long] = 1
    body["tables"]["node_sample"][long] = 1
    assert max(map(len, parsed(body).ignored)) <= 255


def test_a_table_without_rows_is_no_table() -> None:
    body = whole()
    for content in body["tables"].values():
        for name in content:
            content[name] = []
    assert parsed(body).rows == {}


PLACES = sorted(places(whole()), key=str)


@given(st.sampled_from(PLACES), json_values())
def test_any_value_anywhere_is_taken_or_refused_by_name(
    path: tuple[str | int, ...], new: Any
) -> None:
    before = replaced(whole(), path, new)
    body = copy.deepcopy(before)
    check(attempt(parsed, body))
    assert body == before


@given(st.data())
def test_any_part_may_go_missing(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from([path for path in PLACES if path]))
    body = whole()
    holder: Any = body
    for key in path[:-1]:
        holder = holder[key]
    del holder[path[-1]]
    check(attempt(parsed, body))


def check(batch: Batch | InvalidRequest) -> None:
    """What everything behind the parser takes for granted; or a refusal that says why."""
    if isinstance(batch, InvalidRequest):
        assert batch.details["field"]
        assert batch.details["rule"]
        return
    assert 1 <= batch.seq < 2**62
    for text in (batch.machine_id, batch.node.name, *batch.node.aliases):
        assert 0 < len(text) <= 255
    for table, columns in batch.tables.items():
        assert {len(column) for column in columns.values()} == {batch.rows[table]}
        for name, column in columns.items():
            limit = {"job": len(batch.jobs), "gpu": len(batch.gpus)}.get(name)
            for value in column:
                assert value is None or type(value) in (int, float)
                assert limit is None or value is None or 0 <= value < limit
