from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsobs import settingkinds as kinds


@pytest.mark.parametrize("given_value", ["7", " 7 ", 7, "+7"])
def test_integer_takes_text_and_numbers(given_value: object) -> None:
    assert kinds.integer(1, 10).parse(given_value) == 7


@pytest.mark.parametrize(
    "given_value", ["", "7.0", 7.0, "0x7", "seven", True, None, 0, 11, "٧", "9" * 30]
)
def test_integer_refuses_the_rest_with_its_rule(given_value: object) -> None:
    with pytest.raises(ValueError, match="must be a whole number from 1 to 10"):
        kinds.integer(1, 10).parse(given_value)


@given(st.one_of(st.text(), st.floats(), st.integers(), st.booleans(), st.none()))
def test_number_is_finite_and_in_range_or_refused(value: object) -> None:
    kind = kinds.number(0, 5)
    try:
        parsed = kind.parse(value)
    except ValueError:
        return
    assert math.isfinite(parsed)
    assert 0 <= parsed <= 5


@pytest.mark.parametrize(
    ("word", "value"),
    [("true", True), ("YES", True), ("1", True), ("off", False), ("No", False), (False, False)],
)
def test_switch_words(word: object, value: bool) -> None:
    assert kinds.switch().parse(word) is value


@pytest.mark.parametrize("word", ["", "2", "maybe", 1, 0, None])
def test_switch_refuses_the_rest(word: object) -> None:
    with pytest.raises(ValueError, match="true or false"):
        kinds.switch().parse(word)


def test_choice_in_any_case() -> None:
    assert kinds.choice("info", "debug").parse("INFO") == "info"
    with pytest.raises(ValueError, match="one of info, debug"):
        kinds.choice("info", "debug").parse("loud")
