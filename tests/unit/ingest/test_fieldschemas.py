from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ingest.eventfields import FINISHED, STARTED
from ingest.fields import Field, read_fields
from ingest.fieldschemas import body_schema
from ingest.jobfields import CREATE, SCHEDULER, UPDATE
from ingest.reported import REPORT
from tsobs.errors import ValidationError

EVERY = (*STARTED, *FINISHED, *CREATE, *SCHEDULER, *UPDATE, *REPORT)
KINDS = sorted({field.kind for field in EVERY})
ALLOCATIONS = ("allocations", True)
TIMES = ("1970-01-01T00:00:00Z", "2199-12-31T23:59:59+00:00", "1969-12-31T23:59:59Z", "2026-01-02")
NUMBERS = (-1, 0, 1, 100, 100.5, 101, 2**31 - 1, 2**31, 2**53, 2**63 - 1, 2**63, 1e15, 2e15, 3.0)
PARTS = (
    st.none() | st.sampled_from(NUMBERS) | st.booleans() | st.lists(st.text(max_size=3), max_size=2)
)
ALLOCATION = st.fixed_dictionaries(
    {"node": st.none() | st.text(max_size=4) | st.just("n1")},
    optional={"cpus": PARTS, "memory_bytes": PARTS, "gpus": PARTS, "more": PARTS},
)
VALUES = st.one_of(
    st.lists(ALLOCATION | st.integers(), min_size=1, max_size=2),
    st.none(),
    st.booleans(),
    st.integers(-(2**64), 2**64),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=70),
    st.lists(st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.sampled_from([*NUMBERS, *TIMES, "running", "slurm", "x" * 255, "x" * 256, "a\x00", "a\n"]),
)


def is_read(field: Field, value: Any) -> bool:
    try:
        read_fields({field.name: value}, [field])
    except ValidationError:
        return False
    return True


# Of the lists, only texts may be required of anyone.
CASES = [(kind, must) for kind in KINDS for must in (False, True) if (kind, must) != ALLOCATIONS]


@pytest.mark.parametrize(("kind", "required"), CASES)
@given(value=VALUES)
def test_the_schema_takes_what_the_reader_takes(kind: str, required: bool, value: Any) -> None:
    # No float of this size is exact: where the limit lies among them is nobody's business.
    assume(not (isinstance(value, float) and abs(value) > 2**53))
    field = Field("x", None, kind, required)
    validator = jsonschema_rs.Draft202012Validator(body_schema([field]), validate_formats=True)
    if kind == "texts" and required and isinstance(value, list):
        # That one of them must not be empty is a rule of who reads them.
        assume(any(value))
    assert validator.is_valid({"x": value}) is is_read(field, value)


def test_what_a_kind_does_not_say_is_told() -> None:
    schema = body_schema([Field("x", None, "text", required=True)], {"x": {"enum": ["a"]}})
    assert schema["properties"] == {"x": {"enum": ["a"]}}
    assert schema["required"] == ["x"]
