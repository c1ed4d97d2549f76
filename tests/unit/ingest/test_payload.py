from __future__ import annotations

from typing import Any

import pytest

from ingest.payload import audit_payload
from tsobs.errors import InvalidRequest


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_a_body_as_it_came() -> None:
    assert audit_payload({"a": [1, None, "ä"], "b": {}}) == '{"a":[1,null,"ä"],"b":{}}'
    # A backslash and five letters are no null.
    assert audit_payload({"a": "\\u0000"}) == '{"a":"\\\\u0000"}'


@pytest.mark.parametrize("value", ["a\x00b", {"\x00": 1}, "\\\x00", nested(400)])
def test_what_the_audit_trail_cannot_keep(value: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^Invalid JSON body$") as refused:
        audit_payload({"a": value})
    assert set(refused.value.details) == {"field", "rule", "problem"}
