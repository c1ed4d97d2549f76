"""Both kernels read what protobuf reads: whatever the body, whatever the cache knows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.ingest.remotewrite.bodies import bodies1, bodies2, edited, edits
from tests.unit.ingest.remotewrite.oracle import KERNELS, same_meaning

QUICK = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LONG = settings(QUICK, max_examples=8000)


def caches(capacity: int = 1000) -> list[Any]:
    return [kernel.SeriesCache(capacity) for kernel in KERNELS]


def agree(bodies: list[tuple[int, bytes]], capacity: int) -> None:
    made = caches(capacity)
    known: dict[Any, Any] = {}
    for version, body in bodies:
        same_meaning(body, version, made, known)


@QUICK
@given(st.lists(bodies1(), min_size=1, max_size=3), st.sampled_from([2, 1000]))
def test_a_body_of_1_0_means_what_protobuf_says(bodies: list[bytes], capacity: int) -> None:
    agree([(1, body) for body in bodies], capacity)


@QUICK
@given(st.lists(bodies2(), min_size=1, max_size=3), st.sampled_from([2, 1000]))
def test_a_body_of_2_0_means_what_protobuf_says(bodies: list[bytes], capacity: int) -> None:
    agree([(2, body) for body in bodies], capacity)


@QUICK
@given(st.sampled_from([1, 2]), st.data(), edits)
def test_a_damaged_body_means_what_protobuf_says(
    version: int, data: st.DataObject, changes: list[tuple[str, int, bytes]]
) -> None:
    sound = data.draw(bodies1() if version == 1 else bodies2())
    agree([(version, sound), (version, edited(sound, changes))], 1000)


@QUICK
@given(st.sampled_from([1, 2]), st.binary(max_size=200))
def test_any_bytes_mean_what_protobuf_says(version: int, body: bytes) -> None:
    agree([(version, body)], 1000)


@pytest.mark.long
@pytest.mark.timeout(1800)
@LONG
@given(st.sampled_from([1, 2]), st.data(), edits)
def test_damaged_bodies_at_length(
    version: int, data: st.DataObject, changes: list[tuple[str, int, bytes]]
) -> None:
    sound = data.draw(bodies1() if version == 1 else bodies2())
    agree([(version, sound), (version, edited(sound, changes)), (version, sound)], 3)
