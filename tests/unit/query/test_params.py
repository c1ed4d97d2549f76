from __future__ import annotations

from typing import Any

import pytest
from multidict import MultiDict

from query.paramkinds import choice, integer, text
from query.params import Parameter, read_params, refused
from tsobs.errors import InvalidRequest

DECLARED = (
    Parameter("a", text(), "a text"),
    Parameter("b", integer(1, 10, 5), "a number"),
    Parameter("c", choice(("x", "y")), "a letter"),
)


def params(**given: str) -> dict[str, Any]:
    return read_params(MultiDict(given), DECLARED)


def test_what_is_absent_or_empty_is_none() -> None:
    nothing = {"a": None, "b": None, "c": None}
    assert params() == nothing
    assert params(a="", b="", c="") == nothing


def test_what_is_given() -> None:
    assert params(a="x y", b="7") == {"a": "x y", "b": 7, "c": None}


def test_a_broken_rule_is_told_with_the_name() -> None:
    with pytest.raises(InvalidRequest) as raised:
        params(b="11")
    rule = "must be a whole number from 1 to 10"
    assert raised.value.message == f"Invalid format for parameter b: {rule}"
    assert raised.value.details == {"parameter": "b", "rule": rule}


def test_an_unknown_parameter_is_refused_and_the_known_ones_named() -> None:
    with pytest.raises(InvalidRequest, match=r"parameter d is not.*these are: a, b, c"):
        params(d="1")
    with pytest.raises(InvalidRequest, match="there are none"):
        read_params(MultiDict(d="1"), ())


def test_a_parameter_comes_once() -> None:
    with pytest.raises(InvalidRequest, match="Expected one value for a, got 2"):
        read_params(MultiDict([("a", "1"), ("a", "2")]), DECLARED)


def test_a_refusal_of_a_handler_reads_the_same() -> None:
    error = refused("a", "must not come with b")
    assert error.message == "Invalid format for parameter a: must not come with b"
    assert error.details == {"parameter": "a", "rule": "must not come with b"}
