from __future__ import annotations

import asyncio

import pytest

from ingest.remotewrite.decoded import Decoded, Malformed
from ingest.remotewrite.kernel import SeriesCache
from ingest.remotewrite.labels import Refused, identity
from ingest.remotewrite.reading import PART, read_leftovers
from ingest.remotewrite.slowpath import SlowPath
from ingest.remotewrite.unpacking import unpack
from tests.remotebodies import V2Body, now_ms, series, v1_body

NOW = now_ms()


def decoded(body: bytes, version: int) -> tuple[SlowPath, Decoded]:
    data = unpack(body)
    found = SeriesCache(1000).decode(data, version, 1)
    return SlowPath(data, version, found), found


async def test_everything_comes_in_order_however_much_it_is() -> None:
    count = 3 * PART + 5
    body = v1_body(*(series({"__name__": "m", "n": str(n)}, (NOW, 1.0)) for n in range(count)))
    slow, found = decoded(body, 1)
    left = await read_leftovers(slow, found)
    assert [dict(labels)["n"] for labels in left.unknown if not isinstance(labels, Refused)] == [
        str(n) for n in range(count)
    ]
    assert list(left.series) == left.unknown_ids
    assert all(identity(labels) == key for key, labels in left.series.items())
    assert not left.odd_series


async def test_the_refused_have_no_identity() -> None:
    body = V2Body().add({"__name__": "good"}, (NOW, 1.0)).add({"no": "name"}, (NOW, 1.0))
    body.add({"no": "name"}, (NOW, 1.0), exemplars=[([], 1.0, NOW)])
    body.add({"__name__": "odd"}, (NOW, 1.0), exemplars=[([], 1.0, NOW)], metadata=(1, "h", "u"))
    slow, found = decoded(body.packed(), 2)
    left = await read_leftovers(slow, found)
    assert [key is None for key in left.unknown_ids] == [False, True]
    assert [key is None for key in left.odd_ids] == [True, False]
    assert len(left.series) == len(left.odd_series) == 1
    assert [told.help for told in left.metadata if not isinstance(told, Refused)] == ["h"]


async def test_others_get_their_turn() -> None:
    body = v1_body(*(series({"__name__": "m", "n": str(n)}, (NOW, 1.0)) for n in range(2000)))
    slow, found = decoded(body, 1)
    turns = 0
    reading = asyncio.create_task(read_leftovers(slow, found))
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1
    assert len((await reading).unknown) == 2000
    assert turns > 2


async def test_what_is_broken_breaks_all() -> None:
    good = series({"__name__": "m"}, (NOW, 1.0))
    good.exemplars.add(value=1.0, timestamp=NOW)
    slow, found = decoded(v1_body(good), 1)
    broken = found._replace(odd=[(start, stop - 1) for start, stop in found.odd])
    with pytest.raises(Malformed):
        await read_leftovers(slow, broken)
