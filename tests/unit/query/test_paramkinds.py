from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query.paramkinds import choice, integer, names, text, time

EVERY = (text(), choice(("x", "y")), integer(1, 10), names(("x", "y")), time())


def test_what_is_given() -> None:
    assert text().read("x y") == "x y"
    assert choice(("x", "y")).read("x") == "x"
    assert integer(0, 9).read("0") == 0
    assert integer(0, 9).read("+7") == 7
    assert names(("x", "y", "z")).read("z,x") == ("x", "z")


@pytest.mark.parametrize("value", ["0", "11", "-1", "1.0", "ten", "1e1", "٣", "9" * 30, " 5"])
def test_an_integer_out_of_its_rule_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"^must be a whole number from 1 to 10$"):
        integer(1, 10).read(value)


def test_a_choice_names_what_there_is() -> None:
    with pytest.raises(ValueError, match="one of x, y"):
        choice(("x", "y")).read("z")
    with pytest.raises(ValueError, match="some of x, y: 'z' is none"):
        names(("x", "y")).read("x,z")


@pytest.mark.parametrize("value", ["a\x00b", "a\nb", "\x7f", "x" * 256])
def test_a_text_that_nothing_is_called_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="must be 1 to 255 printable"):
        text().read(value)


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
    assert time().read(value) == datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    ["2026-01-31T12:00:00", "2026-01-31", "now", "1769860800", "0001-01-01T00:00:00+23:59"],
)
def test_a_time_without_offset_or_sense_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="must be a time with offset"):
        time().read(value)


@given(st.text())
def test_no_text_breaks_a_reader(value: str) -> None:
    for kind in EVERY:
        with contextlib.suppress(ValueError):
            kind.read(value)
