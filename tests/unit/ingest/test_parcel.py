from __future__ import annotations

import gzip
import os

import orjson
import pytest

from ingest.parcel import Opener, Parcel
from tests.batches import Agent, row
from tsobs.errors import Forbidden, InvalidRequest, TooLarge
from tsobs.routes import Scope
from tsobs.viewer import Viewer

VIEWER = Viewer("t", frozenset({Scope.AGENT}))
OPENER = Opener(cluster="home", max_decoded_bytes=64 << 10)
TEXT = orjson.dumps(Agent("n1").batch(node_sample=[row(load1=1.0)] * 20))


def packed(text: bytes) -> bytes:
    return gzip.compress(text, mtime=0)


def test_a_packed_batch_is_the_plain_one() -> None:
    plain, gzipped = Parcel(TEXT, False, VIEWER), Parcel(packed(TEXT), True, VIEWER)
    assert plain.text_bytes == gzipped.text_bytes == len(TEXT)
    assert OPENER(plain) == OPENER(gzipped)
    assert OPENER(plain).rows == {"node_sample": 20}


@pytest.mark.parametrize("told", [0, 5, len(TEXT) - 1, len(TEXT) + 1, 2**32 - 1])
def test_who_lies_of_the_size_is_refused(told: int) -> None:
    body = packed(TEXT)[:-4] + told.to_bytes(4, "little")
    with pytest.raises(InvalidRequest) as refused:
        OPENER(Parcel(body, True, VIEWER))
    assert refused.value.details == {"field": "body", "rule": "one gzip member"}


def test_what_says_to_be_small_is_unpacked_no_further() -> None:
    """The queue counted it as small."""
    bomb = packed(bytes(50 << 10))[:-4] + (200).to_bytes(4, "little")
    with pytest.raises(InvalidRequest, match="size that its end says"):
        OPENER(Parcel(bomb, True, VIEWER))


@pytest.mark.parametrize("is_gzip", [False, True])
def test_the_size_is_limited(is_gzip: bool) -> None:
    text = os.urandom(33 << 10).hex().encode()
    with pytest.raises(TooLarge) as refused:
        OPENER(Parcel(packed(text) if is_gzip else text, is_gzip, VIEWER))
    assert refused.value.details == {"field": "body", "rule": f"at most {64 << 10} bytes"}


@pytest.mark.parametrize("length", [0, 3, 17])
def test_scraps_are_refused(length: int) -> None:
    with pytest.raises(InvalidRequest):
        OPENER(Parcel(packed(TEXT)[:length], True, VIEWER))


@pytest.mark.parametrize(
    ("node", "cluster", "bound_node", "bound_cluster", "field"),
    [
        ("n1", None, None, None, None),
        ("n1", None, "n1", None, None),
        ("n2", None, "n1", None, "node.name"),
        ("N1", None, "n1", None, "node.name"),
        ("n1", "alpha", None, "alpha", None),
        ("n1", None, None, "home", None),
        ("n1", None, None, "alpha", "cluster"),
        ("n1", "beta", None, "alpha", "cluster"),
        ("n2", "beta", "n1", "alpha", "node.name"),
        ("n1", "beta", "n1", "alpha", "cluster"),
    ],
)
def test_a_bound_token_writes_within_its_bounds(
    node: str,
    cluster: str | None,
    bound_node: str | None,
    bound_cluster: str | None,
    field: str | None,
) -> None:
    viewer = Viewer("t", frozenset({Scope.AGENT}), node=bound_node, cluster=bound_cluster)
    parcel = Parcel(orjson.dumps(Agent(node, cluster=cluster).batch()), False, viewer)
    if field is None:
        assert OPENER(parcel).node.name == node
        return
    with pytest.raises(Forbidden) as refused:
        OPENER(parcel)
    assert refused.value.details["field"] == field
    assert refused.value.details["rule"].startswith("must be ")
