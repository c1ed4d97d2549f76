from __future__ import annotations

import asyncio
import gzip
import json
import math
import tracemalloc
import zlib
from typing import Any
from unittest.mock import Mock

import pytest
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from ingest.batch import MAX_JOBS, MAX_ROWS
from ingest.body import (
    MAX_CONTAINERS,
    MAX_VALUES,
    ByteBudget,
    gunzip,
    parse_json,
    taken_body,
    unpack,
)
from tests.batches import Agent, job, json_values, row
from tests.unit.ingest.attempts import attempt
from tsobs.columns import TABLES
from tsobs.errors import CallerError, InvalidRequest, Overloaded, TooLarge, UnsupportedMedia

MIB = 1 << 20


# gunzip


@given(st.binary(max_size=2000))
def test_gunzip_gives_back_what_was_packed(text: bytes) -> None:
    assert gunzip(gzip.compress(text), 2000) == text


def test_the_limit_is_on_what_comes_out() -> None:
    assert gunzip(gzip.compress(b"x" * 100), 100) == b"x" * 100
    with pytest.raises(TooLarge, match="larger than 99 bytes") as refused:
        gunzip(gzip.compress(b"x" * 100), 99)
    assert refused.value.details == {"field": "body", "rule": "at most 99 bytes"}


def test_gzip_cut_anywhere_is_refused() -> None:
    whole = gzip.compress(b'{"seq": 1}' * 20)
    for length in range(len(whole)):
        with pytest.raises(InvalidRequest) as refused:
            gunzip(whole[:length], MIB)
        assert refused.value.details == {"field": "body", "rule": "one gzip member"}


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_gzip_with_a_damaged_byte_is_refused_or_the_same(at: int, flip: int) -> None:
    text = b'{"seq": 1}' * 20
    packed = bytearray(gzip.compress(text, mtime=0))
    packed[at % len(packed)] ^= flip
    found = attempt(gunzip, bytes(packed), MIB)
    # Time, level and system in the header do not matter to what is inside.
    assert found == text or found.details["field"] == "body"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "cut short"),
        (b"{}", "not gzip|cut short"),
        (zlib.compress(b"{}"), "not gzip"),
        (gzip.compress(b"{}", mtime=0) + b"x", "something after"),
        (gzip.compress(b"{}", mtime=0) + gzip.compress(b"{}", mtime=0), "something after"),
        (gzip.compress(b"{}", mtime=0) + b"\x00", "something after"),
    ],
)
def test_what_is_not_one_gzip_member_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        gunzip(body, MIB)


def bomb(gigabytes: int = 1) -> bytes:
    """Gigabytes of zeros, packed: the block for one MiB again and again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = packer.compress(b"\x00" * MIB) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(b"\x00" * MIB) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * (1024 * gigabytes - 1) + packer.flush()


def test_a_bomb_costs_no_more_than_the_limit() -> None:
    body = bomb()
    assert len(body) < 2 * MIB
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            gunzip(body, 4 * MIB)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * MIB


# parse_json


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
    with pytest.raises(InvalidRequest, match="Invalid JSON body") as refused:
        parse_json(body)
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


# taken_body and unpack


async def read_body(request: web.Request, budget: ByteBudget, max_bytes: int) -> bytes:
    async with taken_body(request, budget, max_bytes) as body:
        assert budget.held_bytes == len(body)
        return body


def asked(
    pieces: list[bytes], headers: dict[str, str] | None = None, *, end: bool = True
) -> web.Request:
    """A request whose body arrives in pieces; without `end` there is more to come."""
    loop = asyncio.get_running_loop()
    stream = StreamReader(Mock(BaseProtocol), 1 << 16, loop=loop)
    for piece in pieces:
        stream.feed_data(piece)
    if end:
        stream.feed_eof()
    return make_mocked_request("POST", "/v1/samples", headers=headers or {}, payload=stream)


async def test_a_body_is_read_whole() -> None:
    budget = ByteBudget(100)
    assert await read_body(asked([b"ab", b"cd"]), budget, 4) == b"abcd"
    assert await read_body(asked([b"abcd"], {"Content-Length": "4"}), budget, 4) == b"abcd"
    assert await read_body(asked([]), budget, 4) == b""
    assert budget.held_bytes == 0


async def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    request = asked([], {"Content-Length": "5"}, end=False)
    async with asyncio.timeout(1):
        with pytest.raises(TooLarge) as refused:
            await read_body(request, ByteBudget(100), 4)
    assert refused.value.details == {"field": "body", "rule": "at most 4 bytes", "length": 5}


async def test_a_body_that_does_not_say_its_size_is_cut_off_at_the_limit() -> None:
    budget = ByteBudget(100)
    async with asyncio.timeout(1):
        with pytest.raises(TooLarge):
            await read_body(asked([b"abc", b"def"], end=False), budget, 4)
    assert budget.held_bytes == 0


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", ""])
async def test_types_that_are_json(kind: str) -> None:
    assert await unpack(asked([], {"Content-Type": kind} if kind else {}), b"{}", 10) == b"{}"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "text/json"]
)
async def test_other_types_are_refused(kind: str) -> None:
    with pytest.raises(UnsupportedMedia) as refused:
        await unpack(asked([], {"Content-Type": kind}), b"{}", 10)
    assert refused.value.details == {"field": "Content-Type", "rule": "application/json"}


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", " gzip "])
async def test_gzip_is_unpacked(encoding: str) -> None:
    request = asked([], {**JSON, "Content-Encoding": encoding})
    assert await unpack(request, gzip.compress(b"{}", mtime=0), 10) == b"{}"


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "x", "compress"])
async def test_other_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(UnsupportedMedia) as refused:
        await unpack(asked([], {**JSON, "Content-Encoding": encoding}), b"{}", 10)
    assert refused.value.details == {"field": "Content-Encoding", "rule": "gzip or identity"}


@pytest.mark.parametrize("size", [100, 200_000])
async def test_the_unpacked_size_is_limited_whatever_the_encoding(size: int) -> None:
    text = bytes(n * n % 251 for n in range(size))
    for encoding, body in (("identity", text), ("gzip", gzip.compress(text))):
        request = asked([], {**JSON, "Content-Encoding": encoding})
        assert await unpack(request, body, size) == text
        with pytest.raises(TooLarge):
            await unpack(request, body, size - 1)


# ByteBudget


def test_a_budget_is_given_back() -> None:
    budget = ByteBudget(10)
    with budget.share() as one:
        one.grow(4)
        one.grow(2)
        with budget.share() as other:
            with pytest.raises(Overloaded):
                other.grow(5)
            other.grow(4)
            with pytest.raises(Overloaded):
                one.grow(1)
            assert budget.held_bytes == 10
        assert budget.held_bytes == 6
    assert budget.held_bytes == 0
    with pytest.raises(ZeroDivisionError), budget.share() as one:
        one.grow(10 // 0)
    assert budget.held_bytes == 0


def test_one_request_always_fits() -> None:
    budget = ByteBudget(10)
    with budget.share() as one:
        one.grow(50)
        one.grow(50)
    assert budget.held_bytes == 0


async def test_what_a_slow_sender_has_not_sent_keeps_nobody_out() -> None:
    budget = ByteBudget(10)
    slow = asked([b"abc"], {"Content-Length": "9"}, end=False)
    reading = asyncio.create_task(read_body(slow, budget, 9))
    await asyncio.sleep(0)
    assert budget.held_bytes == 3
    assert await read_body(asked([b"x" * 6]), ByteBudget(10), 9) == b"x" * 6
    async with taken_body(asked([b"x" * 6]), budget, 9) as body:
        assert (len(body), budget.held_bytes) == (6, 9)
    with pytest.raises(Overloaded):
        await read_body(asked([b"x" * 8]), budget, 9)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert budget.held_bytes == 0


async def test_a_body_is_held_while_it_is_parsed() -> None:
    budget = ByteBudget(10)
    async with taken_body(asked([b"x" * 6]), budget, 9):
        with pytest.raises(Overloaded):
            await read_body(asked([b"x" * 6]), budget, 9)
    assert await read_body(asked([b"x" * 6]), budget, 9) == b"x" * 6
