from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.fields import Field, read_fields
from tests.batches import json_values
from tests.unit.ingest.attempts import attempt
from tsobs.errors import ValidationError

KINDS = (
    "text",
    "name",
    "word",
    "texts",
    "number",
    "integer",
    "count",
    "boolean",
    "mebibytes",
    "time",
)


def read(kind: str, value: Any) -> Any:
    return read_fields({"it": value}, [Field("it", None, kind)])["it"]


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        ("text", "a", "a"),
        ("text", " ", " "),
        ("text", "ä" * 1024, "ä" * 1024),
        ("name", "ä" * 255, "ä" * 255),
        ("texts", ["b", "a", "b", ""], ["a", "b"]),
        ("texts", [], []),
        ("number", 0, 0.0),
        ("number", 1.5, 1.5),
        ("number", 10**15, 1e15),
        ("integer", -(2**31), -(2**31)),
        ("integer", 2**31 - 1, 2**31 - 1),
        ("count", 0, 0),
        ("boolean", False, False),
        ("mebibytes", 1, 1 << 20),
        ("mebibytes", 0.5, 1 << 19),
        ("time", "2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("time", "2026-01-02T03:04:05.678901+02:00", datetime(2026, 1, 2, 1, 4, 5, 678901, UTC)),
        ("time", "2026-01-02 03:04:05-05:30", datetime(2026, 1, 2, 8, 34, 5, tzinfo=UTC)),
        ("time", "2026-01-02T03:04:05.123456789Z", datetime(2026, 1, 2, 3, 4, 5, 123456, UTC)),
    ],
)
def test_good_values(kind: str, value: Any, found: Any) -> None:
    got = read(kind, value)
    assert got == found
    assert type(got) is type(found)


@pytest.mark.parametrize(
    ("kind", "value", "rule"),
    [
        ("text", 7, "a text"),
        ("text", ["a"], "a text"),
        ("text", "x" * 1025, "at most 1024"),
        ("text", "a\x00", "without null"),
        ("name", "x" * 256, "at most 255"),
        ("word", "x" * 65, "at most 64"),
        ("texts", "n1,n2", "a list of texts"),
        ("texts", ["a", None], "a list of texts"),
        ("texts", ["a", 1], "a list of texts"),
        ("texts", ["a\x00"], "a list of texts"),
        ("texts", {"a": 1}, "a list of texts"),
        ("texts", ["x" * 256], "at most 255"),
        ("number", True, "a number"),
        ("number", "1", "a number"),
        ("number", -1, "a number"),
        ("number", 1e16, "a number"),
        ("number", float("inf"), "a number"),
        ("number", 10**400, "a number"),
        ("integer", 1.5, "an integer"),
        ("integer", 2**31, "an integer"),
        ("integer", True, "an integer"),
        ("count", -1, "at least 0"),
        ("boolean", 1, "true or false"),
        ("boolean", "true", "true or false"),
        ("mebibytes", -1, "MiB"),
        ("mebibytes", 1e13, "MiB"),
        ("time", "2026-01-02T03:04:05", "with its zone"),
        ("time", "2026-01-02", "with its zone"),
        ("time", "now", "RFC 3339"),
        ("time", 1_700_000_000, "RFC 3339"),
        ("time", "1969-12-31T23:59:59Z", "RFC 3339"),
        ("time", "2200-01-01T00:00:00Z", "RFC 3339"),
        ("time", "2026-02-30T00:00:00Z", "RFC 3339"),
        ("time", "2026-01-02T03:04:05Z" + " " * 60, "RFC 3339"),
    ],
)
def test_a_bad_value_names_field_and_rule(kind: str, value: Any, rule: str) -> None:
    with pytest.raises(ValidationError) as refused:
        read(kind, value)
    assert refused.value.details["field"] == "it"
    assert rule in refused.value.details["rule"]
    assert refused.value.message == f"it must be {refused.value.details['rule']}"


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize("kind", KINDS)
def test_null_and_empty_are_as_good_as_absent(kind: str, value: Any) -> None:
    assert read_fields({"it": value}, [Field("it", None, kind)]) == {}
    with pytest.raises(ValidationError, match=r"^it is required$") as refused:
        read_fields({"it": value}, [Field("it", None, kind, required=True)])
    assert refused.value.details == {"field": "it", "rule": "required"}


def test_the_first_bad_field_is_named() -> None:
    fields = [Field("a", None, "text"), Field("b", None, "count"), Field("c", None, "text")]
    with pytest.raises(ValidationError) as refused:
        read_fields({"c": 1, "b": -1, "a": "fine", "d": "not asked for"}, fields)
    assert refused.value.details["field"] == "b"


@given(st.sampled_from(KINDS), json_values())
def test_any_value_is_read_or_refused_by_name(kind: str, value: Any) -> None:
    found = attempt(read_fields, {"it": value}, [Field("it", None, kind)])
    if isinstance(found, ValidationError):
        assert found.details["field"] == "it"
    elif kind == "mebibytes" and found:
        assert 0 <= found["it"] < 2**63


@given(st.datetimes(datetime(1970, 1, 2), datetime(2199, 12, 31)), st.timezones())  # noqa: DTZ001
def test_any_moment_in_any_zone_is_the_same_moment(moment: datetime, zone: Any) -> None:
    told = moment.replace(tzinfo=zone)
    if told.utcoffset() is None or told.utcoffset().microseconds:  # type: ignore[union-attr]
        return
    assert read("time", told.isoformat()) == told


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_is_none(text: str) -> None:
    found = attempt(read_fields, {"it": text}, [Field("it", None, "time")])
    if not isinstance(found, ValidationError):
        assert all(moment.tzinfo is UTC for moment in found.values())
