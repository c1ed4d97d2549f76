from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query.cursor import RULE, Cursor, read_cursor, write_cursor


def packed(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize("value", [None, "", "alice", "ä" * 255, "\x01" * 255])
def test_what_is_written_is_read(value: str | None) -> None:
    cursor = Cursor("user", 5, value)
    text = write_cursor(cursor)
    assert read_cursor(text, "user", is_time=False) == cursor
    assert len(text) <= 4096


@pytest.mark.parametrize(
    "text",
    [
        "abc",
        "=",
        "ä",
        packed("[]"),
        packed("5"),
        packed('["-user",5,"x"]'),
        packed('["user","5","x"]'),
        packed('["user",0,"x"]'),
        packed('["user",9223372036854775808,"x"]'),
        packed('["user",5,7]'),
        packed('["user",5,"\\u0000"]'),
        packed('["user",true,"x"]'),
    ],
)
def test_what_nobody_wrote_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=RULE):
        read_cursor(text, "user", is_time=False)


def test_a_time_is_a_time() -> None:
    time = Cursor("start_time", 5, "2026-01-02 03:04:05.25+00")
    assert read_cursor(write_cursor(time), "start_time", is_time=True) == time
    for value in ("infinity", "now", "2026-01-02 03:04:05", "'"):
        text = write_cursor(time._replace(value=value))
        with pytest.raises(ValueError, match=RULE):
            read_cursor(text, "start_time", is_time=True)


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_no_text_breaks_it(text: str) -> None:
    with contextlib.suppress(ValueError):
        read_cursor(text, "user", is_time=True)
