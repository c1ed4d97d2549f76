"""Bodies that no agent would send: what is worst for a parser, an unpacker and a queue."""

from __future__ import annotations

import functools
import gzip
import json
import random
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from tests.batches import Agent, job, places, replaced, row
from tests.unit.ingest.test_body import bomb
from tsobs.settings import Settings

__all__ = ["GZIP", "Hostile", "hostile_bodies", "large_bodies"]

MIB = 1 << 20
JSON = {"Content-Type": "application/json"}
GZIP = {**JSON, "Content-Encoding": "gzip"}
WRONG: tuple[Any, ...] = (None, True, 1e300, -1, 2**70, "x", [], {}, [[]], {"a": 1}, "\x00", 0.5)

Hostile = tuple[bytes, dict[str, str]]


def packed(text: bytes) -> Hostile:
    """The smallest body for a text."""
    return gzip.compress(text, 9), GZIP


def repeated(unit: bytes, size_bytes: int, start: bytes = b"[", end: bytes = b"0]") -> Hostile:
    """A packed text of about so many bytes made of one unit; itself a hundredth of that."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    block = unit * (MIB // len(unit))
    pieces = [packer.compress(start)]
    pieces += [packer.compress(block) for _ in range(size_bytes // MIB)]
    return b"".join([*pieces, packer.compress(end), packer.flush()]), GZIP


@functools.cache
def large_bodies() -> tuple[Hostile, ...]:
    """What unpacks to nearly the limit, and would be many times that as objects."""
    size = Settings().max_decoded_bytes - MIB
    whole = json.dumps(Agent("large").batch(node_sample=[row(1.0)])).encode()
    beside = whole[:-1] + b', "unknown": ['
    return (
        repeated(b"{},", size),
        repeated(b"[],", size),
        repeated(b"1.5,", size),
        repeated(b'"ab",', size),
        repeated(b'{"a":{}},', size),
        repeated(b"{},", size, beside, b"0]}"),
        repeated(b"0.1,", size, beside, b"0]}"),
        repeated(b"NaN,", size, beside, b"0]}"),
        repeated(b"[", size),
        repeated(b" ", size),
        repeated(b"x", size, b'{"stream": "', b'"}'),
        repeated(b"9", size, b"[1e400, ", b"]"),
        (bomb(), GZIP),
    )


def hostile_bodies(seed: int) -> Iterator[Hostile]:
    """Some 200 small ones, each wrong in another way."""
    source = random.Random(seed)
    whole = Agent("hostile").batch(
        jobs=[job(str(n)) for n in range(3)],
        gpus=[{"uuid": "GPU-0"}],
        job_sample=[row(time.time(), job=n, cpu_user_s=1.0) for n in range(3)],
        gpu_sample=[row(time.time(), gpu=0, job=0, share=1.0)],
        node_sample=[row(time.time())],
    )
    text = json.dumps(whole).encode()
    paths = list(places(whole))
    makers: list[Callable[[], Hostile]] = [
        lambda: packed(
            json.dumps(replaced(whole, source.choice(paths), source.choice(WRONG))).encode()
        ),
        lambda: (text[: source.randrange(len(text))], JSON),
        lambda: (gzip.compress(text)[: source.randrange(200)], GZIP),
        lambda: (source.randbytes(source.randrange(10_000)), source.choice([JSON, GZIP])),
        lambda: (damaged(text, source), JSON),
        lambda: (damaged(gzip.compress(text), source), GZIP),
        lambda: packed(b"[" * source.randrange(100_000)),
        lambda: packed(b'{"stream":' * 5_000),
        lambda: (text, {**JSON, "Content-Encoding": source.choice(["br", "zstd", "deflate"])}),
        lambda: (text, {"Content-Type": "text/plain"}),
    ]
    for n in range(200):
        yield makers[n % len(makers)]()


def damaged(body: bytes, source: random.Random) -> bytes:
    """Some bytes are others."""
    changed = bytearray(body)
    for _ in range(source.randint(1, 5)):
        changed[source.randrange(len(changed))] = source.randrange(256)
    return bytes(changed)
