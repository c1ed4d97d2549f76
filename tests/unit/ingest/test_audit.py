from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from ingest.audit import Audit, read_audit
from tsobs.errors import InvalidRequest
from tsobs.web import CORRELATION


def audit(path: str = "/v1/jobs", **headers: str) -> Audit:
    given = CIMultiDict({"X-Changed-By": "ci", "X-Source": "a job"})
    given.update({f"X-{name.replace('_', '-')}": value for name, value in headers.items()})
    request = make_mocked_request("POST", path, headers=given)
    request[CORRELATION] = "abc"
    return read_audit(request)


def test_who_from_where_and_which_request() -> None:
    assert audit() == ("ci", "a job", "abc")
    assert audit(Changed_By="  root ").changed_by == "root"
    assert audit(Source="x" * 255).source == "x" * 255


@pytest.mark.parametrize("value", ["x" * 256, "a\x7fb", "ä"])
def test_what_cannot_be_kept_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequest, match="Invalid format for parameter X-Source: must be"):
        audit(Source=value)


def test_a_parameter_would_be_a_mistake() -> None:
    with pytest.raises(InvalidRequest, match="parameter force is not a parameter here"):
        audit("/v1/jobs?force=1")
