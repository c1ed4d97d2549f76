from __future__ import annotations

import numpy as np
import pytest

from query.table import read_table
from tests.unit.query.columns import answer, sent, table


def test_columns_are_read_as_they_were_sent() -> None:
    found = read_table(
        answer(
            job_key=[2**60, 1], cpu=[0.1, float("nan")], name=['a"\\\n', "\u00e9\u2028\U0001f680"]
        )
    )
    assert found.rows == 2
    assert found.numbers["job_key"].tolist() == [2**60, 1]
    assert found.numbers["cpu"][0] == 0.1
    assert np.isnan(found.numbers["cpu"][1])
    assert found.texts == {"name": ['a"\\\n', "\u00e9\u2028\U0001f680"]}


def test_four_byte_numbers() -> None:
    data = bytes.fromhex("00000001 00000000 00000017 00000002 00000001")
    data += bytes.fromhex("00000004 00000007 00000004 ffffffff")
    assert read_table({"n": data}).numbers["n"].tolist() == [7, -1]


def test_no_rows_are_empty_columns() -> None:
    found = read_table({"name": None, "cpu": None})
    assert found.rows == 0
    assert not found.texts["name"]
    assert not found.numbers["cpu"].size


def test_what_is_no_column_of_numbers_is_refused() -> None:
    for data in (sent([1.0, None]), b"\0\0\0\2" + sent([1.0])[4:]):
        with pytest.raises(ValueError, match="one dimension without nulls"):
            read_table({"cpu": data})


def test_columns_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"columns of \[1, 2\] rows"):
        read_table(answer(a=[1.0], b=["x", "y"]))


def test_keep_and_with_numbers() -> None:
    whole = table([{"name": "a", "n": 1.0}, {"name": "b", "n": 2.0}])
    assert whole.keep(np.array([True, True])) is whole
    kept = whole.keep(np.array([False, True])).with_numbers(m=np.array([5.0]))
    assert (kept.rows, kept.texts, kept.numbers["n"].tolist()) == (1, {"name": ["b"]}, [2.0])
    assert kept.numbers["m"].tolist() == [5.0]
