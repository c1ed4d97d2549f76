from __future__ import annotations

import numpy as np
import pytest

from query.history import evaluate, names

ROWS = {"a": np.array([1.0, np.nan, 3.0]), "b": np.array([2.0, 2.0, 0.0])}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("a", [1.0, np.nan, 3.0]),
        ("1", [1.0, 1.0, 1.0]),
        ("a + b * 2", [5.0, np.nan, 3.0]),
        ("(a - b) / b", [-0.5, np.nan, np.nan]),
        ("zero(a) + b", [3.0, 2.0, 3.0]),
    ],
)
def test_evaluate(value: str, found: list[float]) -> None:
    assert np.array_equal(np.broadcast_to(evaluate(value, ROWS), 3), found, equal_nan=True)


@pytest.mark.parametrize("value", ["a ** 2", "-a", "a if b else 1", "other(a)", "'x'", "a[0]"])
def test_what_is_no_arithmetic_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="not arithmetic"):
        evaluate(value, ROWS)


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(KeyError):
        evaluate("c", ROWS)


def test_names_are_columns_and_not_functions() -> None:
    assert names("(a + zero(b)) / time_s") == {"a", "b", "time_s"}
    assert names("1") == frozenset()
