from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict

from query.params import Params
from tsobs.errors import InvalidRequest


def params(**given: str) -> Params:
    return Params(MultiDict(given), ("a", "b"))


def test_what_is_absent_or_empty_is_none() -> None:
    for empty in (params(), params(a="")):
        assert empty.text("a") is None
        assert empty.choice("a", ("x",)) is None
        assert empty.integer("a", 1) is None
        assert empty.time("a") is None


def test_what_is_given() -> None:
    assert params(a="x y").text("a") == "x y"
    assert params(a="x").choice("a", ("x", "y")) == "x"
    assert params(a="0").integer("a", 0, 9) == 0
    assert params(a="+7").integer("a", 0) == 7


@pytest.mark.parametrize("value", ["0", "11", "-1", "1.0", "ten", "1e1", "٣", "9" * 30, " 5"])
def test_an_integer_out_of_its_rule_is_refused_by_name(value: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        params(a=value).integer("a", 1, 10)
    assert refused.value.details == {
        "parameter": "a",
        "rule": "must be a whole number from 1 to 10",
    }
    assert "parameter a must be" in refused.value.message


def test_a_choice_names_what_there_is() -> None:
    with pytest.raises(InvalidRequest, match="one of x, y"):
        params(a="z").choice("a", ("x", "y"))


@pytest.mark.parametrize("value", ["a\x00b", "a\nb", "\x7f", "x" * 256])
def test_a_text_that_nothing_is_called_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequest, match="parameter a must be 1 to 255 printable"):
        params(a=value).text("a")


def test_an_unknown_parameter_is_refused_and_the_known_ones_named() -> None:
    with pytest.raises(InvalidRequest, match=r"parameter c is not.*these are: a, b"):
        params(c="1")


def test_a_parameter_comes_once() -> None:
    with pytest.raises(InvalidRequest, match="parameter a expected one value, got 2"):
        Params(MultiDict([("a", "1"), ("a", "2")]), ("a",))


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31T13:00:00+01:00",
        "2026-01-31T13:00:00 01:00",  # the + was not escaped
        "2026-01-31T07:00:00-05:00",
        "2026-01-31T12:00:00.000Z",
    ],
)
def test_a_time_is_read_with_its_offset(value: str) -> None:
    assert params(a=value).time("a") == datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    ["2026-01-31T12:00:00", "2026-01-31", "now", "1769860800", "0001-01-01T00:00:00+23:59"],
)
def test_a_time_without_offset_or_sense_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequest, match="parameter a must be a time with offset"):
        params(a=value).time("a")


@given(st.text())
def test_no_text_breaks_a_reader(value: str) -> None:
    given = params(a=value)
    for read in (given.text, given.time):
        with contextlib.suppress(InvalidRequest):
            read("a")
    with contextlib.suppress(InvalidRequest):
        given.integer("a", 0)
