from __future__ import annotations

import uuid

from ingest.remotewrite.poison import ATTEMPTS, KEPT, Poison
from tsobs.errors import InvalidRequest, Overloaded, TsobsError


def test_the_databases_own_word_on_data_stands() -> None:
    refusal = InvalidRequest("the database refuses the data (22003)")
    assert Poison().judged(uuid.uuid4(), refusal) is refusal


def test_while_nothing_else_is_stored_a_body_is_not_blamed() -> None:
    poison, body = Poison(), uuid.uuid4()
    for _ in range(10):
        told = poison.judged(body, TsobsError("database error 42P01"))
        assert isinstance(told, Overloaded)
        assert "42P01" in told.message


def test_a_body_that_fails_among_others_that_do_not_is_refused() -> None:
    poison, body = Poison(), uuid.uuid4()
    statuses = []
    for _ in range(ATTEMPTS + 1):
        statuses.append(poison.judged(body, ValueError("hunter2")))
        poison.note_success()
    assert [type(told) for told in statuses[:ATTEMPTS]] == [Overloaded, Overloaded, InvalidRequest]
    assert all("hunter2" not in str(told) for told in statuses)


def test_it_remembers_a_bounded_number() -> None:
    poison = Poison()
    for _ in range(KEPT + 100):
        poison.judged(uuid.uuid4(), ValueError())
    assert len(poison._failed) == KEPT
