from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from unittest.mock import Mock

import pytest
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from ingest.body import (
    ByteBudget,
    gunzip,
    taken_body,
    unpack,
)
from tests.unit.ingest.attempts import attempt
from tsobs.errors import InvalidRequest, Overloaded, TooLarge, UnsupportedMedia

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
