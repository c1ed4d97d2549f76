from __future__ import annotations

import struct
from collections.abc import Mapping
from uuid import UUID

from ingest.remotewrite.assembly import AHEAD, TOO_OLD, Assembly
from ingest.remotewrite.kernel import SeriesCache
from ingest.remotewrite.reading import read_leftovers
from ingest.remotewrite.refusals import Refusals
from ingest.remotewrite.slowpath import SlowPath
from ingest.remotewrite.storedbody import StoredBody, body_hash
from ingest.remotewrite.unpacking import unpack
from ingest.remotewrite.window import Window
from tests.remotebodies import V2Body, now_ms, series, v1_body

NOW = now_ms()
WINDOW = Window(NOW - 10_000, NOW + 10_000)


async def assembled(
    body: bytes, version: int = 1, cache: SeriesCache | None = None
) -> tuple[StoredBody, Refusals, Mapping[str, int]]:
    """A body with made-up ids; ids by the label `n`."""
    data = unpack(body)
    decoded = (cache or SeriesCache(1000)).decode(data, version, 1)
    slow = SlowPath(data, version, decoded)
    left = await read_leftovers(slow, decoded)
    every = {**left.series, **left.odd_series}
    ids: dict[UUID, int] = {key: 100 + n for n, key in enumerate(every)}
    by_n = {dict(labels).get("n", ""): ids[key] for key, labels in every.items()}
    refusals = Refusals()
    key = body_hash(body, version)
    stored = Assembly(decoded, left, WINDOW, refusals).body(key, 3, ids, lambda: slow)
    if cache is not None:
        keys = [key for key in left.unknown_ids if key is not None]
        cache.put([one.fingerprint for one in decoded.unknown], [ids[key] for key in keys], 1)
    return stored, refusals, by_n


def rows(stored: StoredBody) -> list[tuple[int, int, float]]:
    values = [struct.unpack("<d", struct.pack("<Q", bits))[0] for bits in stored.bits.tolist()]
    return list(zip(stored.series_id.tolist(), stored.time_ms.tolist(), values, strict=True))


def m(n: int) -> dict[str, str]:
    return {"__name__": "m", "n": str(n)}


async def test_ids_take_the_place_of_positions() -> None:
    body = v1_body(series(m(0), (NOW, 1.0), (NOW + 1, 2.0)), series(m(1), (NOW, 3.0)))
    stored, refusals, ids = await assembled(body)
    assert not refusals
    assert rows(stored) == [(ids["0"], NOW, 1.0), (ids["0"], NOW + 1, 2.0), (ids["1"], NOW, 3.0)]
    assert (stored.epoch, stored.hash) == (3, body_hash(body, 1))


async def test_the_refused_are_left_out_with_all_they_have() -> None:
    body = v1_body(
        series(m(0), (NOW, 1.0)), series({"n": "1"}, (NOW, 2.0), (NOW + 1, 2.0)),
        series(m(2), (NOW, 3.0)),
    )  # fmt: skip
    stored, refusals, _ = await assembled(body)
    assert [value for *_, value in rows(stored)] == [1.0, 3.0]
    assert list(refusals.counts.values()) == [2]


async def test_times_are_judged_for_known_and_unknown_series() -> None:
    cache = SeriesCache(1000)
    for known in (False, True):
        body = v1_body(
            series(m(0), (NOW - 10_001, 1.0), (NOW, 2.0), (NOW + 10_001, 3.0)),
            series(m(1), (NOW + 10_001, 4.0)),
        )
        stored, refusals, _ = await assembled(body, 1, cache)
        assert [value for *_, value in rows(stored)] == [2.0]
        assert refusals.counts == {TOO_OLD: 1, AHEAD: 2}
        shown = [one.shown for one in refusals.listed]
        assert shown == [
            f'm{{n="0"}} at {NOW - 10_001} ms',
            f'm{{n="0"}} at {NOW + 10_001} ms',
            f'm{{n="1"}} at {NOW + 10_001} ms',
        ], known


async def test_refused_labels_are_not_judged_again_for_their_times() -> None:
    stored, refusals, _ = await assembled(v1_body(series({"n": "1"}, (NOW + 99_999, 1.0))))
    assert stored.is_empty
    assert len(refusals) == 1


async def test_odd_messages_join_the_others() -> None:
    body = V2Body().add(m(0), (NOW, 1.0))
    body.add(m(1), (NOW, 2.0), (NOW + 99_999, 3.0), exemplars=[([("t", "x")], 9.0, NOW)])
    body.add({"n": "2"}, (NOW, 4.0), exemplars=[([], 9.0, NOW)])
    body.add(m(3), (NOW, 5.0), exemplars=[([], 9.0, NOW - 99_999)])
    stored, refusals, ids = await assembled(body.packed(), 2)
    assert [(series_id, value) for series_id, _, value in rows(stored)] == [
        (ids["0"], 1.0), (ids["1"], 2.0), (ids["3"], 5.0),
    ]  # fmt: skip
    assert [row[1:3] for row in stored.exemplars] == [(ids["1"], 9.0)]
    assert refusals.counts[AHEAD] == 1
    assert refusals.counts[TOO_OLD] == 1
    assert len(refusals) == 4


async def test_few_of_many_are_named() -> None:
    body = v1_body(*(series(m(n), (NOW + 99_999, 1.0)) for n in range(50)))
    stored, refusals, _ = await assembled(body)
    assert stored.is_empty
    assert refusals.counts == {AHEAD: 50}
    assert len(refusals.listed) == 5
