"""Shares of one device: as stated, and one whole together."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeagent.gpu.allocation import Claim
from nodeagent.gpu.shares import shares_of


def claim(percent: float | None = None, shards: float | None = None) -> Claim:
    return Claim(1, frozenset({"GPU-1"}), percent, shards)


@pytest.mark.parametrize(
    ("holders", "shares"),
    [
        ({}, {None: 1.0}),
        ({"1": claim()}, {"1": 1.0}),
        ({"1": claim(), "2": claim()}, {"1": 0.5, "2": 0.5}),
        ({"1": claim(percent=25)}, {"1": 0.25, None: 0.75}),
        ({"1": claim(percent=25), "2": claim(percent=75)}, {"1": 0.25, "2": 0.75}),
        ({"1": claim(percent=100), "2": claim(percent=100)}, {"1": 0.5, "2": 0.5}),
        ({"1": claim(shards=1), "2": claim(shards=3)}, {"1": 0.25, "2": 0.75}),
        ({"1": claim(shards=1)}, {"1": 1.0}),
        ({"1": claim(shards=1), "2": claim(percent=90)}, {"1": 0.5, "2": 0.5}),
        ({"1": claim(percent=100 - 1e-12)}, {"1": 1.0}),
    ],
)
def test_shares(holders: dict[str, Claim], shares: dict[str | None, float]) -> None:
    assert shares_of(holders) == shares


claims = st.builds(
    claim,
    st.none() | st.floats(0.01, 100),
    st.none() | st.integers(1, 1000).map(float),
)


@given(st.dictionaries(st.text("0123456789", min_size=1), claims, max_size=40))
def test_they_sum_to_one(holders: dict[str, Claim]) -> None:
    shares = shares_of(holders)
    assert math.fsum(shares.values()) == pytest.approx(1, abs=1e-9)
    assert all(0 < share <= 1 for share in shares.values())
    assert set(shares) - {None} == set(holders)
