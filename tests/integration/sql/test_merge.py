"""Who is right about a job: any order, repetition or delay leaves the same row."""

from __future__ import annotations

import asyncio
from itertools import count, permutations
from typing import Any

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.sql.observing import Connection, Jobs, Seen

AT = Jobs(None).at  # type: ignore[arg-type]
NUMBERS = count(1)

# What is told in a job's life, as its tellers tell it. Each: (rank, rank of the state, facts).
Told = tuple[int, int, dict[str, Any]]
AGENT_1: Told = (2, 2, {"state": "running", "start_at": AT(1), "nodes": ["n1"], "user_name": "al"})
AGENT_2: Told = (2, 2, {"state": "running", "start_at": AT(0.5), "nodes": ["n2"], "uid": 7})
OOM: Told = (2, 2, {"state": "running", "oom_killed": True, "nodes": ["n1"]})
STARTED: Told = (
    3,
    3,
    {"state": "running", "start_at": AT(0), "nodes": ["n2", "n1"], "user_name": "alice"},
)
EXIT_0: Told = (
    3,
    1,
    {"state": "completed", "exit_code": 0, "end_at": AT(9), "raw_state": "RUNNING"},
)
EXIT_1: Told = (3, 1, {"state": "failed", "exit_code": 1, "end_at": AT(9)})
KILLED: Told = (
    3,
    1,
    {"state": "cancelled", "signal": 9, "exit_code": 0, "raw_state": "COMPLETING"},
)
RAW: Told = (3, 3, {"state": "failed", "state_reason": "timeout", "raw_state": "TIMEOUT"})
CONTROLLER: Told = (
    4,
    4,
    {"state": "cancelled", "raw_state": "CANCELLED by 7", "start_at": AT(0.1), "end_at": AT(9.5)},
)
LOST: Told = (1, 1, {"state": "unknown", "state_reason": "lost", "end_at": AT(8)})
PENDING: Told = (4, 4, {"state": "pending", "submit_at": AT(-5), "qos": "normal"})

LIVES = {
    "agents only": (AGENT_1, AGENT_2, LOST),
    "hooks and exit": (AGENT_1, STARTED, EXIT_0),
    "an OOM kill explains the signal": (OOM, STARTED, KILLED, LOST),
    "exits that differ": (EXIT_0, EXIT_1, KILLED, OOM),
    "the scheduler's word": (AGENT_1, OOM, STARTED, KILLED, RAW),
    "suspended and resumed": (
        STARTED,
        (4, 4, {"state": "running", "state_reason": "suspended", "state_at": AT(3)}),
        (4, 4, {"state": "running", "state_at": AT(5)}),
        (4, 4, {"state": "running", "state_reason": "suspended", "state_at": AT(7)}),
    ),
    "the controller's word": (PENDING, STARTED, RAW, CONTROLLER, EXIT_0),
}


async def tell(jobs: Jobs, job_id: str, told: Told) -> Seen:
    """One observation of that job."""
    rank, state_rank, facts = told
    return await jobs.observe(0, job_id=job_id, rank=rank, state_rank=state_rank, **facts)


async def merged(jobs: Jobs, told: list[Told]) -> dict[str, Any]:
    """The row that observations leave in this order; telling all of them again changes nothing."""
    job_id = str(next(NUMBERS))
    [*_, seen] = [await tell(jobs, job_id, one) for one in told]
    before = await jobs.row(seen.job_key)
    for one in told:
        assert await tell(jobs, job_id, one) == (seen.job_key, "skipped"), (told, one)
    after = await jobs.row(seen.job_key)
    assert after == before
    return {name: value for name, value in after.items() if name != "job_id"}


async def test_any_order_leaves_the_same_row(jobs: Jobs) -> None:
    for life, told in LIVES.items():
        rows = [await merged(jobs, list(order)) for order in permutations(told)]
        assert all(row == rows[0] for row in rows), life


STATES = ["pending", "running", "completed", "failed", "cancelled", "unknown"]
TELLING = st.tuples(
    st.integers(1, 4),
    st.booleans(),
    st.fixed_dictionaries(
        {},
        optional={
            "state": st.sampled_from(STATES),
            "state_reason": st.sampled_from(["timeout", "lost", "exit_code"]),
            "raw_state": st.sampled_from(["TIMEOUT", "CANCELLED", "CANCELLED by 7"]),
            "start_at": st.integers(0, 3).map(AT),
            "end_at": st.integers(5, 8).map(AT),
            "exit_code": st.sampled_from([0, 1, 2]),
            "signal": st.sampled_from([0, 9, 11]),
            "oom_killed": st.booleans(),
            "nodes": st.lists(st.sampled_from(["n1", "n2", "n3"]), min_size=1, max_size=3),
            "user_name": st.sampled_from(["alice", "bob"]),
            "allocated_cpus": st.sampled_from([1, 2.5]),
        },
    ),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(TELLING, min_size=2, max_size=5), st.randoms(use_true_random=False))
async def test_whatever_is_told(jobs: Jobs, telling: list[Any], random: Any) -> None:
    told = [(rank, 1 if inferred else rank, facts) for rank, inferred, facts in telling]
    first = await merged(jobs, told)
    for _ in range(3):
        random.shuffle(told)
        assert await merged(jobs, told) == first


ENDINGS: list[tuple[tuple[Told, ...], tuple[str, str | None, str | None]]] = [
    ((STARTED, EXIT_0), ("completed", None, None)),
    ((STARTED, KILLED), ("cancelled", None, None)),
    ((STARTED, KILLED, OOM), ("failed", "out_of_memory", None)),
    ((OOM, STARTED, EXIT_0), ("completed", None, None)),
    ((EXIT_0, RAW), ("failed", "timeout", "TIMEOUT")),
    ((RAW, EXIT_0, LOST), ("failed", "timeout", "TIMEOUT")),
    ((CONTROLLER, RAW), ("cancelled", None, "CANCELLED by 7")),
    ((LOST, EXIT_1), ("failed", "exit_code", None)),
    ((AGENT_1, LOST), ("unknown", "lost", None)),
    ((CONTROLLER, AGENT_1), ("cancelled", None, "CANCELLED by 7")),
    ((PENDING, AGENT_1), ("running", None, None)),
    ((AGENT_1, PENDING), ("running", None, None)),
]


async def test_endings(jobs: Jobs) -> None:
    for told, expected in ENDINGS:
        row = await merged(jobs, list(told))
        assert (row["state"], row["state_reason"], row["raw_state"]) == expected, told


async def test_fields_by_rank(jobs: Jobs) -> None:
    row = await merged(jobs, [AGENT_2, AGENT_1])
    assert (row["nodes"], row["start_at"], row["user_name"]) == (["n1", "n2"], AT(0.5), "al")
    row = await merged(jobs, [STARTED, AGENT_2, AGENT_1])
    assert (row["nodes"], row["start_at"], row["user_name"]) == (["n2", "n1"], AT(0), "alice")
    assert row["uid"] == 7
    row = await merged(jobs, [CONTROLLER, EXIT_0, STARTED])
    assert (row["start_at"], row["end_at"]) == (AT(0.1), AT(9.5))


async def test_nobody_takes_an_oom_kill_back(jobs: Jobs) -> None:
    row = await merged(jobs, [OOM, (4, 4, {"oom_killed": False})])
    assert row["oom_killed"] is True


async def test_the_audit_trail(jobs: Jobs) -> None:
    seen = await jobs.started(0, rank=2, user_name="al")
    await jobs.started(0, rank=3, user_name="alice", name="train", qos=None)
    [made, changed] = await jobs.events(seen.job_key)
    assert made["new"]["user_name"] == "al"
    assert changed["old"] == {"user_name": "al"}
    assert changed["new"] == {"user_name": "alice", "name": "train"}
    assert (changed["kind"], changed["actor"], changed["source"]) == ("told", "me", "test")
    assert (changed["correlation_id"], changed["rank"], changed["payload"]) == ("c-1", 3, {"a": 1})


async def test_the_same_from_a_higher_rank_is_no_news(jobs: Jobs) -> None:
    seen = await jobs.observe(0, rank=2, user_name="alice")
    assert await jobs.observe(0, rank=4, user_name="alice") == (seen.job_key, "skipped")
    assert len(await jobs.events(seen.job_key)) == 1
    await jobs.observe(0, rank=3, user_name="mallory")  # but the rank was noted
    assert (await jobs.row(seen.job_key))["user_name"] == "alice"


async def test_null_and_absent_change_nothing(jobs: Jobs) -> None:
    seen = await jobs.started(0, name="train")
    assert await jobs.observe(0, rank=4, name=None, user_name=None) == (seen.job_key, "skipped")
    assert (await jobs.row(seen.job_key))["name"] == "train"


async def test_sessions_merge_into_one_row_at_once(jobs: Jobs, database_url: str) -> None:
    told = [AGENT_1, AGENT_2, OOM, STARTED, KILLED, EXIT_0, RAW, LOST]
    expected = await merged(jobs, told)
    opened: list[Connection] = [await asyncpg.connect(database_url) for _ in told]
    job_id = str(next(NUMBERS))
    await asyncio.gather(
        *(tell(Jobs(connection), job_id, one) for connection, one in zip(opened, told, strict=True))
    )
    [key] = await jobs.connection.fetch(
        "select job_key from tsobs_store.job where job_id = $1", job_id
    )
    assert {**await jobs.row(key["job_key"]), "job_id": None} == {**expected, "job_id": None}
    for connection in opened:
        await connection.close()
