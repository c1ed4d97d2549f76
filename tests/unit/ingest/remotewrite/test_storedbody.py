from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from ingest.remotewrite.storedbody import StoredBody, body_hash

AT = datetime(2026, 1, 1, tzinfo=UTC)


def body(ids: list[int], others: list[int]) -> StoredBody:
    count = len(ids)
    return StoredBody(
        body_hash(b"", 1),
        1,
        np.array(ids, np.int64),
        np.zeros(count, np.int64),
        np.zeros(count, np.uint64),
        [(AT, n) for n in others[:1]],
        [(AT, n) for n in others[1:]],
    )


def test_hashes_tell_bodies_and_versions_apart() -> None:
    hashes = {body_hash(data, version) for data in (b"", b"a", b"1a") for version in (1, 2)}
    assert len(hashes) == 6
    assert body_hash(b"x" * 100_000, 1) == body_hash(b"x" * 100_000, 1)


def test_ids_are_of_everything() -> None:
    assert body([3, 1, 3], []).ids.tolist() == [3, 1, 3]
    assert body([3], [5, 6]).ids.tolist() == [3, 5, 6]
    assert body([], [5]).ids.dtype == np.int64


def test_emptiness() -> None:
    assert body([], []).is_empty
    assert not body([1], []).is_empty
    assert not body([], [1]).is_empty
    assert not body([], [1, 2]).is_empty
