from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from query.labeltext import FORGET_AFTER_S, LabelTexts, label_text

NAMES = ("cluster", "node")


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a", b"a"),
        ('a"b', b'a\\"b'),
        ("a\\b", b"a\\\\b"),
        ("a\nb", b"a\\nb"),
        ("\\n", b"\\\\n"),
        ("\u00e9", "\u00e9".encode()),
        ("", b""),
    ],
)
def test_values_are_quoted(value: str, written: bytes) -> None:
    assert label_text(["x"], [value]) == b'x="' + written + b'"} '


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_value_is_read_back(value: str) -> None:
    page = b"# TYPE m gauge\nm{" + label_text(["x"], [value]) + b"1\n# EOF\n"
    [family] = text_string_to_metric_families(page.decode())  # type: ignore[no-untyped-call]
    assert family.samples[0].labels == {"x": value}


def test_a_text_is_made_once() -> None:
    known = LabelTexts()
    first = known.texts(NAMES, [["a", "a"], ["n1", "n2"]])
    again = known.texts(NAMES, [["a", "a"], ["n2", "n1"]])
    assert first == [b'cluster="a",node="n1"} ', b'cluster="a",node="n2"} ']
    assert again[0] is first[1]
    assert again[1] is first[0]
    assert len(known) == 2


def test_the_same_values_of_other_labels_have_their_own_text() -> None:
    known = LabelTexts()
    assert known.texts(("a",), [["x"]]) != known.texts(("b",), [["x"]])


def test_values_are_told_apart_whatever_is_in_them() -> None:
    known = LabelTexts()
    texts = known.texts(NAMES, [['a",node="b', "a"], ["c", 'b",node="c']])
    assert len(set(texts)) == 2


def test_what_is_not_asked_for_is_forgotten() -> None:
    clock = Clock()
    known = LabelTexts(clock=clock)
    [kept], _ = known.texts(("a",), [["kept"]]), known.texts(("a",), [["ended"]])
    for _ in range(2):
        clock.now_s += FORGET_AFTER_S
        assert known.texts(("a",), [["kept"]])[0] is kept
    assert len(known) == 2  # of this turn and of the one before
    for _ in range(2):
        clock.now_s += FORGET_AFTER_S
        known.texts(("a",), [["other"]])
    assert len(known) == 2
    assert known.texts(("a",), [["kept"]])[0] is not kept


def test_it_is_bounded() -> None:
    known = LabelTexts(capacity=100)
    for page in range(50):
        known.texts(("a",), [[f"{page}-{n}" for n in range(20)]])
        assert len(known) <= 100 + 20


def test_threads_get_what_they_asked_for() -> None:
    known = LabelTexts(capacity=500)
    wrong: list[bytes] = []

    def ask(of: int) -> None:
        for turn in range(50):
            values = [f"{of}-{(turn + n) % 300}" for n in range(100)]
            texts = known.texts(("a",), [values])
            pairs = zip(values, texts, strict=True)
            wrong.extend(text for value, text in pairs if text != f'a="{value}"}} '.encode())

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
