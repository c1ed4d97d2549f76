from __future__ import annotations

import gzip
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.batch import MAX_JOBS, MAX_ROWS
from ingest.jsontext import MAX_CONTAINERS, MAX_VALUES, parse_json
from tests.batches import Agent, job, json_values, row
from tests.unit.ingest.attempts import attempt
from tsobs.columns import TABLES
from tsobs.errors import CallerError, InvalidRequest, TooLarge

MIB = 1 << 20


@given(json_values())
def test_json_of_any_kind_is_read(value: Any) -> None:
    assert same(parse_json(json.dumps(value).encode()), value)


def same(found: Any, sent: Any) -> bool:
    """Whether the parser gave back what was sent: numbers by value, both infinities as one."""
    if isinstance(sent, dict):
        return found.keys() == sent.keys() and all(same(found[key], sent[key]) for key in sent)
    if isinstance(sent, list):
        return len(found) == len(sent) and all(map(same, found, sent))
    if type(sent) in (int, float):
        return type(found) in (int, float) and float(found) == (
            math.inf if math.isinf(sent) else float(sent)
        )
    return type(found) is type(sent) and bool(found == sent)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400"])
def test_what_is_no_number_becomes_infinity_for_a_row_rule_to_refuse(text: str) -> None:
    [found] = parse_json(f"[{text}]".encode())
    assert math.isinf(found)


def test_beside_a_nan_the_rest_is_read_as_ever() -> None:
    text = b'{"seq": 12345678901234567, "x": [NaN, 1.5, -0.0, 7], "s": "NaN"}'
    found = parse_json(text)
    assert found == {"seq": 12345678901234567, "x": [math.inf, 1.5, 0.0, 7], "s": "NaN"}
    assert type(found["seq"]) is int
    assert type(found["x"][3]) is int


@pytest.mark.parametrize("beside", ["0e0", "NaN"])
@pytest.mark.parametrize("digits", ["9" * 19, "9" * 20, "-" + "9" * 19, "9" * 5_000])
def test_a_huge_integer_is_a_number(digits: str, beside: str) -> None:
    [found, _] = parse_json(f"[{digits}, {beside}]".encode())
    assert float(found) == float(digits)
    assert type(found) is float or -(2**63) <= found < 2**64


def test_a_million_digits_take_no_time() -> None:
    body = b"[NaN, " + b"9" * MIB + b"]"
    assert math.isinf(parse_json(body)[1])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"a": 1,}',
        b"{'a': 1}",
        b'{"a": 01e}',
        b"nan",
        b"[Inf]",
        b'{"a": 1} {"a": 2}',
        b'{"a": 1}e',
        b'"\xff\xfe"',
        b'{"\xc3\x28": 1e3}',
        b'"\xed\xa0\x80"',
        b'{"a": "\\ud800"}',
        b'{"a": "\\udc00\\ud800", "e": 1}',
        b'{"\\ud800": NaN}',
        b'{"a": "\x00", "e": 1}',
        b'{"a": "tab\there"}',
        '{"a": 1e3}'.encode("utf-16"),
        '{"a": 1e3}'.encode("utf-32"),
        b"\xef\xbb\xbf{}",
        b'\xef\xbb\xbf{"e": NaN}',
        b"[" * 9_000,
        b"[" * 9_000 + b"]" * 9_000,
        b'{"e":' * 9_000 + b"1" + b"}" * 9_000,
        b"[NaN, " * 5_000 + b"]" * 5_000,
        b"\x1f\x8b\x08",
        gzip.compress(b"{}", mtime=0),
    ],
    ids=lambda body: repr(body[:16]),
)
def test_what_is_not_json_in_utf8_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"^Invalid JSON body$") as refused:
        parse_json(body)
    assert refused.value.details.pop("problem")
    assert refused.value.details == {"field": "body", "rule": "JSON in UTF-8"}


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    found = attempt(parse_json, body)
    assert not isinstance(found, CallerError) or found.details["rule"] == "JSON in UTF-8"


@pytest.mark.parametrize(
    ("body", "is_good"),
    [
        (b"[" + b"0," * (MAX_VALUES - 1) + b"0]", True),
        (b"[" + b"0," * MAX_VALUES + b"0]", False),
        (b"[" + b"NaN," * MAX_VALUES + b"0]", False),
        (b"[" + b"[]," * (MAX_CONTAINERS - 2) + b"[]]", True),
        (b"[" + b"[]," * (MAX_CONTAINERS - 1) + b"[]]", False),
        (b"[" + b"{}," * MAX_CONTAINERS + b"0]", False),
        (b"[" * 1_000_000, False),
    ],
    ids=lambda value: repr(value[:5]) if isinstance(value, bytes) else str(value),
)
def test_more_values_than_any_batch_has_are_not_even_parsed(body: bytes, is_good: bool) -> None:
    found = attempt(parse_json, body)
    assert isinstance(found, TooLarge) is not is_good
    if not is_good:
        assert found.details["field"] == "body"
        assert "1000000 values" in found.details["rule"]


def test_the_largest_batch_is_read() -> None:
    rows = [dict.fromkeys((column.name for column in TABLES["gpu_sample"].columns), 1.5)]
    rows = [row(1.0, gpu=0, job=None, share=1.0) | rows[0]] * MAX_ROWS
    jobs = [job(str(n)) for n in range(MAX_JOBS)]
    body = Agent().batch(jobs=jobs, gpus=[{"uuid": "G"}], gpu_sample=rows)
    assert parse_json(json.dumps(body).encode()) == body
