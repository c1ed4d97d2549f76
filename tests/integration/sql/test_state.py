"""The rules on states as functions: what an exit says, what outweighs what, how equals agree."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.sql.observing import Connection

# One database serves all examples: these functions store nothing.
SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


# exit code, signal, OOM kill seen: state, reason
EXITS: list[tuple[int | None, int | None, bool | None, str, str | None]] = [
    (0, 0, None, "completed", None),
    (0, None, None, "completed", None),
    (None, 0, True, "completed", None),
    (0, 0, True, "completed", None),
    (1, 0, None, "failed", "exit_code"),
    (1, 0, True, "failed", "out_of_memory"),
    (137, None, False, "failed", "exit_code"),
    (0, 9, None, "cancelled", None),
    (0, 15, False, "cancelled", None),
    (0, 9, True, "failed", "out_of_memory"),
    (1, 15, None, "cancelled", None),
    (0, 11, None, "failed", "signal"),
    (None, 6, None, "failed", "signal"),
]


async def test_what_an_exit_says(connection: Connection) -> None:
    for exit_code, signal, oom_killed, *expected in EXITS:
        row = await connection.fetchrow(
            "select * from tsobs_store.infer_state($1, $2, $3)", exit_code, signal, oom_killed
        )
        assert row is not None
        assert list(row) == expected, (exit_code, signal, oom_killed)


# From the lightest: (state, reason, raw, rank).
ORDER: list[tuple[str, str | None, str | None, int]] = [
    ("unknown", None, None, 0),
    ("pending", None, None, 2),
    ("pending", None, None, 4),
    ("running", None, None, 2),
    ("running", None, None, 3),
    ("running", "suspended", "SUSPENDED", 3),
    ("running", None, None, 4),
    ("unknown", None, None, 1),
    ("unknown", "lost", None, 1),
    ("completed", None, None, 1),
    ("cancelled", None, None, 1),
    ("failed", None, None, 1),
    ("failed", "exit_code", None, 1),
    ("failed", "out_of_memory", None, 1),
    ("completed", None, None, 3),
    ("failed", "timeout", "TIMEOUT", 3),
    ("completed", None, "COMPLETED", 4),
    ("cancelled", None, "CANCELLED", 4),
    ("cancelled", None, "CANCELLED by 1000", 4),
    ("cancelled", "preempted", "PREEMPTED", 4),
    ("failed", "out_of_memory", "OUT_OF_MEMORY", 4),
]


async def test_states_have_one_order(connection: Connection) -> None:
    wins = await connection.prepare("select tsobs_store.state_wins($1, $2, $3, $4, $5, $6, $7, $8)")
    for (i, held), (j, told) in permutations(enumerate(ORDER), 2):
        assert await wins.fetchval(*held, *told) is (j > i), (held, told)
    for same in ORDER[1:]:
        assert await wins.fetchval(*same, *same) is False


FIELDS = {
    "start_at": st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01T01:30:00+02:00"]),
    "end_at": st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01T01:30:00+02:00", "2027-01-01"]),
    "nodes": st.lists(st.sampled_from(["n1", "n2", "n10"]), min_size=1, max_size=4),
    "name": st.sampled_from(["a", "b", "Z"]),
    "allocated_cpus": st.sampled_from([1, 1.0, 2.5, 10]),
    "oom_killed": st.booleans(),
}
VALUES = st.sampled_from(sorted(FIELDS)).flatmap(
    lambda field: st.tuples(
        st.just(field), st.lists(FIELDS[field] | st.none(), min_size=3, max_size=3)
    )
)


@SETTINGS
@given(VALUES)
async def test_equals_agree_in_any_order(
    connection: Connection, told: tuple[str, list[Any]]
) -> None:
    field, values = told
    outcomes = set()
    for order in permutations(values):
        held = None
        for value in (*order, order[0]):  # and one comes twice
            held = await connection.fetchval(
                "select tsobs_store.agree($1, $2::jsonb, $3::jsonb)",
                field,
                None if held is None else json.dumps(held),
                json.dumps(value),
            )
        outcomes.add(json.dumps(await _canonical(connection, field, held)))
    assert len(outcomes) == 1


async def _canonical(connection: Connection, field: str, value: Any) -> Any:
    """The value as the row would hold it."""
    if value is None or field not in ("start_at", "end_at", "allocated_cpus"):
        return value
    if field == "allocated_cpus":
        return float(value)
    return str(await connection.fetchval("select $1::text::timestamptz", value))


AGREED: list[tuple[str, Any, Any, Any]] = [
    ("start_at", "2026-01-01T02:00:00Z", "2026-01-01T01:00:00Z", "2026-01-01T01:00:00+00:00"),
    ("submit_at", "2026-01-01T02:00:00Z", "2026-01-01T03:00:00Z", "2026-01-01T02:00:00+00:00"),
    ("end_at", "2026-01-01T02:00:00Z", "2026-01-01T01:00:00Z", "2026-01-01T02:00:00+00:00"),
    ("nodes", ["n2", "n1"], ["n2", "n1"], ["n2", "n1"]),
    ("nodes", ["n2", "n1"], ["n1"], ["n2", "n1"]),
    ("nodes", ["n2"], ["n1"], ["n1", "n2"]),
    ("name", "a", "b", "b"),
    ("name", None, "b", "b"),
    ("name", "a", None, "a"),
    ("oom_killed", True, False, True),
    ("exit_code", 1, 2, 2),
]


async def test_what_equals_agree_on(connection: Connection) -> None:
    agree = await connection.prepare("select tsobs_store.agree($1, $2::jsonb, $3::jsonb)")
    for field, a, b, expected in AGREED:
        assert await agree.fetchval(field, json.dumps(a), json.dumps(b)) == expected, (field, a, b)


async def test_of_two_states_before_the_ending_the_later_told_of_is_right(
    connection: Connection,
) -> None:
    """Suspended, resumed, suspended again: all running, with one rank."""
    wins = await connection.prepare(
        "select tsobs_store.state_wins('running', $1, null, $2, 'running', $3, null, $4,"
        " to_timestamp($5), to_timestamp($6))"
    )
    assert await wins.fetchval("suspended", 4, None, 4, 10, 20) is True
    assert await wins.fetchval(None, 4, "suspended", 4, 20, 10) is False
    assert await wins.fetchval(None, 4, "suspended", 4, 10, 10) is True
    assert await wins.fetchval("suspended", 4, None, 3, 10, 20) is False
