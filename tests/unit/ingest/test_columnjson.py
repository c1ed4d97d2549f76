from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.batch import parse_batch
from ingest.columnjson import LARGE_BYTES, parse_columns
from ingest.jsontext import parse_json
from tests.batches import Agent, job, row
from tsobs.columns import TABLES
from tsobs.errors import CallerError

ROWS = 700
MEASURED = [column.name for column in TABLES["job_sample"].columns][:4]


def body(**changes: Any) -> dict[str, Any]:
    """A batch that is large enough for the short cut, whose job_sample has these columns."""
    rows = [row(1.7e9 + n, job=n % 2, **dict.fromkeys(MEASURED, n / 7)) for n in range(ROWS)]
    whole: dict[str, Any] = Agent("n1").batch(jobs=[job("1"), job("2")], job_sample=rows)
    whole["tables"]["job_sample"] |= changes
    return whole


def plain(value: Any) -> Any:
    """Arrays as the lists of floats that they stand for; numbers as floats."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return float(value) if type(value) is int else value


def both(text: bytes) -> tuple[Any, Any]:
    """What the short cut and the whole way make of a text: a batch, or the refusal."""
    found = []
    for parse in (parse_columns, parse_json):
        try:
            batch = parse_batch(parse(text), text)
            found.append({**batch._asdict(), "tables": plain(batch.tables)})
        except CallerError as error:
            found.append({"code": error.code, "message": error.message, **error.details})
    return found[0], found[1]


def arrays(text: bytes) -> int:
    columns = parse_columns(text)["tables"]["job_sample"].values()
    return sum(isinstance(column, np.ndarray) for column in columns)


def test_columns_of_numbers_become_arrays() -> None:
    text = orjson.dumps(body())
    assert len(text) > LARGE_BYTES
    assert arrays(text) == 2 + len(MEASURED)
    quick, whole = both(text)
    assert quick == whole
    assert quick["rows"] == {"job_sample": ROWS}


def test_a_small_body_goes_the_whole_way() -> None:
    small = orjson.dumps(Agent("n1").batch(node_sample=[row(1.7e9, load1=1.0)]))
    assert parse_columns(small) == parse_json(small)


# Each puts one value into a column.
ODD = [None, True, "1", "[", "\\u005b[", [1.0], [], {}, {"a": [1]}, -0.0, 2**53 + 1, 2**63, 2**64]


@pytest.mark.parametrize("name", ["time", "job", MEASURED[0], "unknown"])
@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_what_is_no_column_of_numbers_is_found(name: str, odd: Any) -> None:
    column = [1.0] * (ROWS - 1)
    for place in (0, ROWS // 2, ROWS - 1):
        quick, whole = both(orjson.dumps(body(**{name: [*column[:place], 1, *column[place:]]})))
        assert quick == whole
        text = json.dumps(body(**{name: [*column[:place], odd, *column[place:]]})).encode()
        quick, whole = both(text)
        assert quick == whole


def test_a_column_of_lists_is_not_flattened() -> None:
    """As many numbers as there are rows, and none of them a row's."""
    quick, whole = both(orjson.dumps(body(**{MEASURED[0]: [[float(n)] for n in range(ROWS)]})))
    assert quick == whole
    assert quick["code"] == "invalid_request"
    assert MEASURED[0] in quick["message"]


def test_of_two_equal_names_the_last_counts() -> None:
    for name in (MEASURED[0], "time", "job_sample", "tables", "seq"):
        text = orjson.dumps(body()).replace(
            f'"{name}":'.encode(), f'"{name}":[],"{name}":'.encode(), 1
        )
        quick, whole = both(text)
        assert quick == whole


@pytest.mark.parametrize(
    "word",
    ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 400, "01", "+1", ".5", "1.", "nan"],
)
def test_words_that_only_look_like_numbers(word: str) -> None:
    text = orjson.dumps(body()).replace(b"0.14285714285714285", word.encode(), 1)
    assert word.encode() in text
    quick, whole = both(text)
    assert quick == whole


@pytest.mark.parametrize(
    "top",
    [
        [],
        1,
        "x",
        None,
        {"tables": []},
        {"tables": {"job_sample": []}},
        {"tables": None},
        {"tables": {"x": {}}},
    ],
    ids=repr,
)
def test_other_shapes(top: Any) -> None:
    quick, whole = both(b" " * LARGE_BYTES + orjson.dumps(top))
    assert quick == whole
    if isinstance(top, dict):
        quick, whole = both(b" " * LARGE_BYTES + orjson.dumps(body() | top))
        assert quick == whole


numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**64), 2**65)
values = st.lists(numbers | st.none() | st.sampled_from(ODD), max_size=3)


@given(
    st.dictionaries(st.sampled_from([*MEASURED, "time", "job", "gpu", "x["]), values),
    st.integers(0, ROWS * 60),
    st.binary(max_size=3),
)
def test_both_ways_agree_on_anything(changes: dict[str, Any], at: int, scratch: bytes) -> None:
    sections = {name: [*some, *[0.5] * (ROWS - len(some))] for name, some in changes.items()}
    text = json.dumps(body(**sections)).encode()
    quick, whole = both(text)
    assert quick == whole
    quick, whole = both(text[:at] + scratch + text[at + len(scratch) :])
    assert quick == whole
