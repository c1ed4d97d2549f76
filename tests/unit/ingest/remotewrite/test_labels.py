"""The canonical label set, what is refused, and the identity."""

from __future__ import annotations

import uuid
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.remotewrite.decoded import Limits
from ingest.remotewrite.labels import Refused, canonical, identity

NAME = (b"__name__", b"up")


@given(st.permutations([NAME, (b"job", b"node"), (b"empty", b""), ("ü".encode(), b"\xc3\xbc")]))
def test_any_order_is_the_same_set(pairs: list[tuple[bytes, bytes]]) -> None:
    found = canonical(pairs)
    assert found == (("__name__", "up"), ("job", "node"), ("ü", "ü"))
    assert identity(found) == identity((("__name__", "up"), ("job", "node"), ("ü", "ü")))


def test_an_empty_value_is_no_label() -> None:
    with_it = canonical([NAME, (b"a", b"")])
    without = canonical([NAME])
    assert not isinstance(with_it, Refused)
    assert not isinstance(without, Refused)
    assert identity(with_it) == identity(without)


@pytest.mark.parametrize(
    ("pairs", "rule"),
    [
        ([], "no metric name"),
        ([(b"a", b"b")], "no metric name"),
        ([(b"__name__", b"")], "no metric name"),
        ([NAME, (b"a", b"1"), (b"a", b"1")], "label name twice"),
        ([NAME, (b"a", b"1"), (b"a", b"")], "label name twice"),
        ([NAME, NAME], "label name twice"),
        ([NAME, (b"", b"1")], "label name empty"),
        ([NAME, (b"\xff", b"1")], "label not UTF-8"),
        ([NAME, (b"a", b"\xed\xa0\x80")], "label not UTF-8"),
        ([NAME, (b"a\0", b"1")], "label with NUL"),
        ([NAME, (b"a", b"\0")], "label with NUL"),
        ([NAME, (b"a" * 1025, b"1")], "label name too long"),
        ([NAME, (b"a", b"1" * 16_385)], "label value too long"),
        ([NAME, *((b"%d" % n, b"1") for n in range(Limits.LABELS))], "too many labels"),
    ],
)
def test_what_is_refused(pairs: list[tuple[bytes, bytes]], rule: str) -> None:
    found = canonical(pairs)
    assert isinstance(found, Refused)
    assert found.rule == rule
    assert len(found.shown) <= 201
    found.shown.encode()


def test_what_is_just_within_the_limits() -> None:
    pairs = [NAME, *((b"%d" % n, b"1") for n in range(Limits.LABELS - 3)), (b"a" * 1024, b"1")]
    found = canonical([*pairs, (b"b", b"1" * 16_384)])
    assert not isinstance(found, Refused)
    assert len(found) == Limits.LABELS


def test_an_exemplar_needs_no_name() -> None:
    assert canonical([], named=False) == ()
    assert canonical([(b"trace_id", b"1")], named=False) == (("trace_id", "1"),)


def test_texts_cannot_move_between_labels() -> None:
    sets = [(("a", "bc"),), (("ab", "c"),), (("a", "b"), ("c", "d")), (("a", "bcd"),)]
    assert len({identity(labels) for labels in sets}) == len(sets)


def test_the_identity_is_what_the_documentation_says() -> None:
    text = b"\0\0\0\x08__name__\0\0\0\x02up"
    expected = uuid.UUID(bytes=blake2b(text, digest_size=16).digest())
    assert identity((("__name__", "up"),)) == expected
