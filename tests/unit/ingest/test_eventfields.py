from __future__ import annotations

import pytest

from ingest.eventfields import ENDS, FINISHED, REASONS, STARTED
from ingest.fields import STATES, Field, kind_schema


@pytest.mark.parametrize("fields", [STARTED, FINISHED], ids=["started", "finished"])
def test_each_field_is_declared_once_and_can_be_described(fields: tuple[Field, ...]) -> None:
    names = [field.name for field in fields]
    assert len(set(names)) == len(names)
    columns = [field.column for field in fields if field.column]
    assert len(set(columns)) == len(columns)
    assert all(kind_schema(field.kind) for field in fields)


def test_what_older_senders_must_say_is_all_that_is_asked() -> None:
    required = {field.name for field in STARTED if field.required}
    assert required == {"job_id", "timestamp", "user", "node_list"}
    required = {field.name for field in FINISHED if field.required}
    assert required == {"job_id", "timestamp", "final_state"}


def test_an_end_is_a_state_and_no_reason() -> None:
    assert set(ENDS) < set(STATES)
    assert not set(STATES) & REASONS
